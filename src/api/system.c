/* system.c - the tables behind system.h. */
#include <berth/api/system.h>

JSON_DEFINE(version_platform, VERSION_PLATFORM)
JSON_DEFINE(version_component, VERSION_COMPONENT)
JSON_DEFINE(version_answer, VERSION_ANSWER)
JSON_DEFINE(info_plugins, INFO_PLUGINS)
JSON_DEFINE(info_runtime, INFO_RUNTIME)
JSON_DEFINE(info_commit, INFO_COMMIT)
JSON_DEFINE(info_swarm, INFO_SWARM)
JSON_DEFINE(info_registry, INFO_REGISTRY)
JSON_DEFINE(info_firewall, INFO_FIREWALL)
JSON_DEFINE(info_answer, INFO_ANSWER)
JSON_DEFINE(build_cache, BUILD_CACHE)
JSON_DEFINE(disk_usage, DISK_USAGE)
