/* image.c - the tables behind image.h. */
#include <berth/api/image.h>

JSON_DEFINE(image_rootfs, IMAGE_ROOTFS)
JSON_DEFINE(image_history, IMAGE_HISTORY)
JSON_DEFINE(image_run_config, IMAGE_RUN_CONFIG)
JSON_DEFINE(image_config, IMAGE_CONFIG)
JSON_DEFINE(manifest_item, MANIFEST_ITEM)
JSON_DEFINE(image_summary, IMAGE_SUMMARY)
JSON_DEFINE(inspect_config, INSPECT_CONFIG)
JSON_DEFINE(image_graph, IMAGE_GRAPH)
JSON_DEFINE(inspect_rootfs, INSPECT_ROOTFS)
JSON_DEFINE(inspect_metadata, INSPECT_METADATA)
JSON_DEFINE(image_inspect, IMAGE_INSPECT)
JSON_DEFINE(image_history_item, IMAGE_HISTORY_ITEM)
JSON_DEFINE(image_deleted, IMAGE_DELETED)
JSON_DEFINE(images_pruned, IMAGES_PRUNED)
