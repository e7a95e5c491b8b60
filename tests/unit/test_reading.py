from deploy.reading import murmur2, partition_of


def test_murmur2_is_kafkas() -> None:
    """The vectors of Kafka's own UtilsTest."""
    known = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
        b"abc": 479470107,
    }
    assert {data: murmur2(data) for data in known} == {data: value & 0xFFFFFFFF for data, value in known.items()}


def test_partition_of_a_chinese_key_is_in_range() -> None:
    assert {partition_of(f"用户{number}", 4) for number in range(50)} == {0, 1, 2, 3}
