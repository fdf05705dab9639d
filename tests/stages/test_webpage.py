from volproc.stages.webpage import duration, short


def test_numbers_for_people():
    assert [short(v) for v in (0.000123, 99.96, 1e6, float("nan"))] == [
        "0.000123",
        "100",
        "1,000,000",
        "–",
    ]
    assert duration(59.96) == "60.0 s"
