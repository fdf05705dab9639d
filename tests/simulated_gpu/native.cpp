// What torch asks C++ about CUDA, answered where torch was built without it: how many devices there
// are, which one is current (of each thread), which memory of the host is pinned; random numbers are
// the CPU's.
//
// simulated_start and simulated_stop put the answers in place and take them away again.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace {

int devices = 1;
thread_local int current = 0;

std::mutex pinning;
std::map<std::uintptr_t, std::size_t> pinned;  // first byte: how many

void unpin(void* memory) {
  std::lock_guard<std::mutex> held(pinning);
  pinned.erase(reinterpret_cast<std::uintptr_t>(memory));
  std::free(memory);
}

// The first byte of the pinned memory that an address is in; 0 if it is in none.
std::uintptr_t pinned_at(std::uintptr_t address) {
  std::lock_guard<std::mutex> held(pinning);
  auto found = pinned.upper_bound(address);
  if (found == pinned.begin()) return 0;
  --found;
  return address < found->first + found->second ? found->first : 0;
}

struct PinnedMemory final : c10::Allocator {
  c10::DataPtr allocate(std::size_t bytes) override {
    void* memory = std::aligned_alloc(64, (bytes / 64 + 1) * 64);
    std::memset(memory, 0xAA, bytes);
    std::lock_guard<std::mutex> held(pinning);
    pinned[reinterpret_cast<std::uintptr_t>(memory)] = bytes;
    return {memory, memory, &unpin, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &unpin; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
} pinned_memory;

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static c10::Device at(int n) { return {c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(n)}; }
  static c10::Stream stream(c10::Device device) {
    return c10::Stream(c10::Stream::DEFAULT, device);
  }

  c10::DeviceType type() const override { return c10::DeviceType::CUDA; }
  c10::Device getDevice() const override { return at(current); }
  c10::Device exchangeDevice(c10::Device device) const override {
    auto before = getDevice();
    uncheckedSetDevice(device);
    return before;
  }
  void setDevice(c10::Device device) const override { uncheckedSetDevice(device); }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    if (device.index() >= 0) current = device.index();
  }
  c10::Stream getStream(c10::Device device) const override { return stream(device); }
  c10::Stream getNewStream(c10::Device device, int) const override { return stream(device); }
  c10::Stream exchangeStream(c10::Stream to) const override { return stream(to.device()); }
  c10::DeviceIndex deviceCount() const noexcept override { return devices; }
  // The engine of gradients waits by these; streams are simulated in Python
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag)
      const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
} guard;

struct Hooks final : at::CUDAHooksInterface {
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  int getNumGPUs() const override { return devices; }
  c10::DeviceIndex deviceCount() const override { return devices; }
  c10::DeviceIndex current_device() const override { return current; }
  c10::DeviceIndex getCurrentDevice() const override { return current; }
  void setCurrentDevice(c10::DeviceIndex device) const override { current = device; }
  bool isPinnedPtr(const void* memory) const override {
    return pinned_at(reinterpret_cast<std::uintptr_t>(memory)) != 0;
  }
  at::Generator getNewGenerator(c10::DeviceIndex) const override {
    return at::make_generator<at::CPUGeneratorImpl>();
  }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_memory; }
} hooks;

// torch keeps the object that it found when it was imported: it gets the methods of another class
const void*& methods_of(const at::CUDAHooksInterface& object) {
  return *reinterpret_cast<const void**>(const_cast<at::CUDAHooksInterface*>(&object));
}

const void* usual = nullptr;

}  // namespace

extern "C" {

void simulated_start(int count) {
  devices = count;
  current = 0;
  if (!usual) usual = methods_of(at::detail::getCUDAHooks());
  methods_of(at::detail::getCUDAHooks()) = methods_of(hooks);
  c10::impl::device_guard_impl_registry[static_cast<std::size_t>(c10::DeviceType::CUDA)] = &guard;
}

void simulated_stop() {
  methods_of(at::detail::getCUDAHooks()) = usual;
  c10::impl::device_guard_impl_registry[static_cast<std::size_t>(c10::DeviceType::CUDA)] = nullptr;
}

int simulated_device() { return current; }
void simulated_set_device(int n) { current = n; }
std::uintptr_t simulated_pinned_at(std::uintptr_t address) { return pinned_at(address); }
}
