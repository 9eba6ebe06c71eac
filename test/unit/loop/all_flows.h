/* all_flows.h - every flow of the program by the name of its flow_def, one line each.
 *
 * flow_torture_test.c declares and tortures them; a flow_def is therefore never static. */
#ifndef BERTH_TEST_LOOP_ALL_FLOWS_H
#define BERTH_TEST_LOOP_ALL_FLOWS_H

/* clang-format off */
#define ALL_FLOWS(FLOW) \
    FLOW(create_flow) \
    FLOW(start_flow) \
    FLOW(remove_flow) \
    FLOW(teardown_flow) \
    FLOW(update_flow) \
    FLOW(top_flow) \
    FLOW(archive_flow) \
    FLOW(changes_flow) \
    FLOW(container_commit_flow) \
    FLOW(commit_flow) \
    FLOW(look_flow) \
    FLOW(sizes_flow) \
    FLOW(prune_flow) \
    FLOW(prune_one_flow) \
    FLOW(exec_start_flow) \
    FLOW(import_flow) \
    FLOW(load_flow) \
    FLOW(pull_flow) \
    FLOW(pull_layer_flow) \
    FLOW(load_layer_flow) \
    FLOW(network_create_flow) \
    FLOW(network_remove_flow) \
    FLOW(connect_flow) \
    FLOW(disconnect_flow) \
    FLOW(volume_create_flow) \
    FLOW(volume_remove_flow)
/* clang-format on */

#endif
