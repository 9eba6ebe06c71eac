/* stats.h - what GET /containers/{id}/stats says: one reading, and the one before it. */
#ifndef BERTH_API_STATS_H
#define BERTH_API_STATS_H

#include <berth/json.h>

#define STATS_PIDS(F, T)                      \
    F(T, INT, current, "current", OMIT_EMPTY) \
    F(T, RAW, limit, "limit", OMIT_EMPTY)
JSON_DECLARE(stats_pids, STATS_PIDS)

#define STATS_BLKIO_ENTRY(F, T)  \
    F(T, INT, major, "major", 0) \
    F(T, INT, minor, "minor", 0) \
    F(T, STR, op, "op", 0)       \
    F(T, INT, value, "value", 0)
JSON_DECLARE(stats_blkio_entry, STATS_BLKIO_ENTRY)

/* The others are not kept by the kernels of today: always null. */
#define STATS_BLKIO(F, T)                                                 \
    F(T, OBJS(stats_blkio_entry), bytes, "io_service_bytes_recursive", 0) \
    F(T, OBJS(stats_blkio_entry), serviced, "io_serviced_recursive", 0)   \
    F(T, RAW, queue, "io_queue_recursive", 0)                             \
    F(T, RAW, service_time, "io_service_time_recursive", 0)               \
    F(T, RAW, wait_time, "io_wait_time_recursive", 0)                     \
    F(T, RAW, merged, "io_merged_recursive", 0)                           \
    F(T, RAW, time, "io_time_recursive", 0)                               \
    F(T, RAW, sectors, "sectors_recursive", 0)
JSON_DECLARE(stats_blkio, STATS_BLKIO)

/* Nanoseconds. */
#define STATS_CPU_USAGE(F, T)                      \
    F(T, INT, total, "total_usage", 0)             \
    F(T, RAW, per_cpu, "percpu_usage", OMIT_EMPTY) \
    F(T, INT, kernel, "usage_in_kernelmode", 0)    \
    F(T, INT, user, "usage_in_usermode", 0)
JSON_DECLARE(stats_cpu_usage, STATS_CPU_USAGE)

#define STATS_THROTTLING(F, T)                   \
    F(T, INT, periods, "periods", 0)             \
    F(T, INT, throttled, "throttled_periods", 0) \
    F(T, INT, throttled_ns, "throttled_time", 0)
JSON_DECLARE(stats_throttling, STATS_THROTTLING)

#define STATS_CPU(F, T)                               \
    F(T, OBJ(stats_cpu_usage), usage, "cpu_usage", 0) \
    F(T, INT, system, "system_cpu_usage", OMIT_EMPTY) \
    F(T, INT, online, "online_cpus", OMIT_EMPTY)      \
    F(T, OBJ(stats_throttling), throttling, "throttling_data", 0)
JSON_DECLARE(stats_cpu, STATS_CPU)

/* stats: every line of memory.stat. */
#define STATS_MEMORY(F, T)                     \
    F(T, INT, usage, "usage", OMIT_EMPTY)      \
    F(T, INT, most, "max_usage", OMIT_EMPTY)   \
    F(T, RAW, stats, "stats", OMIT_EMPTY)      \
    F(T, INT, failures, "failcnt", OMIT_EMPTY) \
    F(T, INT, limit, "limit", OMIT_EMPTY)
JSON_DECLARE(stats_memory, STATS_MEMORY)

#define STATS_NETWORK(F, T)                \
    F(T, INT, rx_bytes, "rx_bytes", 0)     \
    F(T, INT, rx_packets, "rx_packets", 0) \
    F(T, INT, rx_errors, "rx_errors", 0)   \
    F(T, INT, rx_dropped, "rx_dropped", 0) \
    F(T, INT, tx_bytes, "tx_bytes", 0)     \
    F(T, INT, tx_packets, "tx_packets", 0) \
    F(T, INT, tx_errors, "tx_errors", 0)   \
    F(T, INT, tx_dropped, "tx_dropped", 0)
JSON_DECLARE(stats_network, STATS_NETWORK)

#define STATS_ANSWER(F, T)                             \
    F(T, STR, name, "name", 0)                         \
    F(T, STR, id, "id", 0)                             \
    F(T, STR, read, "read", 0)                         \
    F(T, STR, preread, "preread", 0)                   \
    F(T, OBJ(stats_pids), pids, "pids_stats", 0)       \
    F(T, OBJ(stats_blkio), blkio, "blkio_stats", 0)    \
    F(T, INT, num_procs, "num_procs", 0)               \
    F(T, RAW, storage, "storage_stats", 0)             \
    F(T, OBJ(stats_cpu), cpu, "cpu_stats", 0)          \
    F(T, OBJ(stats_cpu), precpu, "precpu_stats", 0)    \
    F(T, OBJ(stats_memory), memory, "memory_stats", 0) \
    F(T, MAPOF(stats_network), networks, "networks", OMIT_EMPTY)
JSON_DECLARE(stats_answer, STATS_ANSWER)

#endif
