/* volume.c - the tables behind volume.h. */
#include <berth/api/volume.h>

JSON_DEFINE(volume_usage, VOLUME_USAGE)
JSON_DEFINE(volume_info, VOLUME_INFO)
JSON_DEFINE(volumes_answer, VOLUMES_ANSWER)
JSON_DEFINE(volume_create_body, VOLUME_CREATE)
JSON_DEFINE(volumes_pruned, VOLUMES_PRUNED)
