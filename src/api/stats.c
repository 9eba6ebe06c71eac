/* stats.c - the tables behind stats.h. */
#include <berth/api/stats.h>

JSON_DEFINE(stats_pids, STATS_PIDS)
JSON_DEFINE(stats_blkio_entry, STATS_BLKIO_ENTRY)
JSON_DEFINE(stats_blkio, STATS_BLKIO)
JSON_DEFINE(stats_cpu_usage, STATS_CPU_USAGE)
JSON_DEFINE(stats_throttling, STATS_THROTTLING)
JSON_DEFINE(stats_cpu, STATS_CPU)
JSON_DEFINE(stats_memory, STATS_MEMORY)
JSON_DEFINE(stats_network, STATS_NETWORK)
JSON_DEFINE(stats_answer, STATS_ANSWER)
