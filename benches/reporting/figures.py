"""The figures of one measurement: what chloe-bench printed, by the names that tables use.

Each takes a record and gives a number, or None where the record has none. Used by the tables and
the picture.
"""


def us_a_delivery(record):
    return record.get("server_cpu_us_per_delivery")


def user_us_a_delivery(record):
    return record.get("server_user_us_per_delivery")


def deliveries_a_cpu_second(record):
    return record.get("deliveries_per_server_cpu_second")


def deliveries_a_second(record):
    return record.get("deliveries_per_second")


def bytes_a_delivery(record):
    return record.get("bytes_per_delivery")


def us_a_publication(record):
    return record.get("server_cpu_us_per_publication")


def publications_a_second(record):
    return record.get("publications_per_second")


def _latency(name):
    def ms(record):
        value = record.get("latency_us", {}).get(name)
        return None if value is None or not record.get("deliveries") else value / 1_000

    return ms


p50_ms = _latency("p50")
p99_ms = _latency("p99")
p999_ms = _latency("p99_9")
most_ms = _latency("max")


def _memory(record, name):
    # Pages that several processes of a server share are divided among them.
    return record.get("memory", {}).get("proportional", {}).get(name)


def memory_each(record):
    return _memory(record, "each")


def memory_empty_mib(record):
    value = _memory(record, "before")
    return None if value is None else value / 1024 / 1024


def connect_us(record):
    return record.get("connect_cpu_us_each")


def connect_user_us(record):
    return record.get("connect_user_us_each")


def lost(record):
    return record.get("lost", 0)


def doubled(record):
    return record.get("doubled", 0)


def disordered(record):
    return record.get("disordered", 0)
