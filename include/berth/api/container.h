/* container.h - what GET /containers/json and GET /containers/{id}/json answer. */
#ifndef BERTH_API_CONTAINER_H
#define BERTH_API_CONTAINER_H

#include <berth/api/config.h>
#include <berth/api/network.h>
#include <berth/json.h>

/* The body of POST /containers/create holds Config's fields and these beside them. */
#define CREATE_EXTRA(F, T)                                \
    F(T, OBJP(host_config), host_config, "HostConfig", 0) \
    F(T, RAW, networking_config, "NetworkingConfig", 0)
JSON_DECLARE(create_extra, CREATE_EXTRA)

#define CREATE_ANSWER(F, T) \
    F(T, STR, id, "Id", 0)  \
    F(T, STRS, warnings, "Warnings", EMPTY_LIST)
JSON_DECLARE(create_answer, CREATE_ANSWER)

#define WAIT_ERROR(F, T) F(T, STR, message, "Message", OMIT_EMPTY)
JSON_DECLARE(wait_error, WAIT_ERROR)
#define WAIT_ANSWER(F, T)                              \
    F(T, OBJP(wait_error), error, "Error", OMIT_UNSET) \
    F(T, INT, status_code, "StatusCode", 0)
JSON_DECLARE(wait_answer, WAIT_ANSWER)

#define HEALTH_LOG_ENTRY(F, T)          \
    F(T, STR, start, "Start", 0)        \
    F(T, STR, end, "End", 0)            \
    F(T, INT, exit_code, "ExitCode", 0) \
    F(T, STR, output, "Output", 0)
JSON_DECLARE(health_log_entry, HEALTH_LOG_ENTRY)
#define CONTAINER_HEALTH(F, T)                    \
    F(T, STR, status, "Status", 0)                \
    F(T, INT, failing_streak, "FailingStreak", 0) \
    F(T, OBJS(health_log_entry), log, "Log", EMPTY_LIST)
JSON_DECLARE(container_health, CONTAINER_HEALTH)

#define INSPECT_STATE(F, T)                 \
    F(T, STR, status, "Status", 0)          \
    F(T, BOOL, running, "Running", 0)       \
    F(T, BOOL, paused, "Paused", 0)         \
    F(T, BOOL, restarting, "Restarting", 0) \
    F(T, BOOL, oom_killed, "OOMKilled", 0)  \
    F(T, BOOL, dead, "Dead", 0)             \
    F(T, INT, pid, "Pid", 0)                \
    F(T, INT, exit_code, "ExitCode", 0)     \
    F(T, STR, error, "Error", 0)            \
    F(T, STR, started_at, "StartedAt", 0)   \
    F(T, STR, finished_at, "FinishedAt", 0) \
    F(T, OBJP(container_health), health, "Health", OMIT_UNSET)
JSON_DECLARE(inspect_state, INSPECT_STATE)

#define GRAPH_DRIVER(F, T)     \
    F(T, MAP, data, "Data", 0) \
    F(T, STR, name, "Name", 0)
JSON_DECLARE(graph_driver, GRAPH_DRIVER)

#define MOUNT_POINT(F, T)                    \
    F(T, STR, type, "Type", OMIT_EMPTY)      \
    F(T, STR, name, "Name", OMIT_EMPTY)      \
    F(T, STR, source, "Source", 0)           \
    F(T, STR, destination, "Destination", 0) \
    F(T, STR, driver, "Driver", OMIT_EMPTY)  \
    F(T, STR, mode, "Mode", 0)               \
    F(T, BOOL, rw, "RW", 0)                  \
    F(T, STR, propagation, "Propagation", 0)
JSON_DECLARE(mount_point, MOUNT_POINT)

#define CONTAINER_INSPECT(F, T)                                     \
    F(T, STR, id, "Id", 0)                                          \
    F(T, STR, created, "Created", 0)                                \
    F(T, STR, path, "Path", 0)                                      \
    F(T, STRS, args, "Args", EMPTY_LIST)                            \
    F(T, OBJ(inspect_state), state, "State", 0)                     \
    F(T, STR, image, "Image", 0)                                    \
    F(T, STR, resolv_conf_path, "ResolvConfPath", 0)                \
    F(T, STR, hostname_path, "HostnamePath", 0)                     \
    F(T, STR, hosts_path, "HostsPath", 0)                           \
    F(T, STR, log_path, "LogPath", 0)                               \
    F(T, STR, name, "Name", 0)                                      \
    F(T, INT, restart_count, "RestartCount", 0)                     \
    F(T, STR, driver, "Driver", 0)                                  \
    F(T, STR, platform, "Platform", 0)                              \
    F(T, STR, mount_label, "MountLabel", 0)                         \
    F(T, STR, process_label, "ProcessLabel", 0)                     \
    F(T, STR, app_armor_profile, "AppArmorProfile", 0)              \
    F(T, STRS, exec_ids, "ExecIDs", 0)                              \
    F(T, OBJP(host_config), host_config, "HostConfig", 0)           \
    F(T, OBJ(graph_driver), graph_driver, "GraphDriver", UNTIL(51)) \
    F(T, OPT_INT, size_rw, "SizeRw", OMIT_UNSET)                    \
    F(T, OPT_INT, size_root_fs, "SizeRootFs", OMIT_UNSET)           \
    F(T, OBJS(mount_point), mounts, "Mounts", EMPTY_LIST)           \
    F(T, OBJP(container_config), config, "Config", 0)               \
    F(T, OBJ(network_settings), network_settings, "NetworkSettings", 0)
JSON_DECLARE(container_inspect, CONTAINER_INSPECT)

#define SUMMARY_PORT(F, T)                           \
    F(T, STR, ip, "IP", OMIT_EMPTY)                  \
    F(T, INT, private_port, "PrivatePort", 0)        \
    F(T, INT, public_port, "PublicPort", OMIT_EMPTY) \
    F(T, STR, type, "Type", 0)
JSON_DECLARE(summary_port, SUMMARY_PORT)

#define SUMMARY_HOST_CONFIG(F, T)                      \
    F(T, STR, network_mode, "NetworkMode", OMIT_EMPTY) \
    F(T, MAP, annotations, "Annotations", OMIT_EMPTY | SINCE(46))
JSON_DECLARE(summary_host_config, SUMMARY_HOST_CONFIG)

#define SUMMARY_NETWORKS(F, T) F(T, MAPOF(endpoint_settings), networks, "Networks", EMPTY_LIST)
JSON_DECLARE(summary_networks, SUMMARY_NETWORKS)

#define CONTAINER_SUMMARY(F, T)                                         \
    F(T, STR, id, "Id", 0)                                              \
    F(T, STRS, names, "Names", EMPTY_LIST)                              \
    F(T, STR, image, "Image", 0)                                        \
    F(T, STR, image_id, "ImageID", 0)                                   \
    F(T, STR, command, "Command", 0)                                    \
    F(T, INT, created, "Created", 0)                                    \
    F(T, OBJS(summary_port), ports, "Ports", EMPTY_LIST)                \
    F(T, INT, size_rw, "SizeRw", OMIT_EMPTY)                            \
    F(T, INT, size_root_fs, "SizeRootFs", OMIT_EMPTY)                   \
    F(T, MAP, labels, "Labels", EMPTY_LIST)                             \
    F(T, STR, state, "State", 0)                                        \
    F(T, STR, status, "Status", 0)                                      \
    F(T, OBJ(summary_host_config), host_config, "HostConfig", 0)        \
    F(T, OBJ(summary_networks), network_settings, "NetworkSettings", 0) \
    F(T, OBJS(mount_point), mounts, "Mounts", EMPTY_LIST)
JSON_DECLARE(container_summary, CONTAINER_SUMMARY)

#define EXEC_CONFIG(F, T)                             \
    F(T, STR, user, "User", 0)                        \
    F(T, BOOL, privileged, "Privileged", 0)           \
    F(T, BOOL, tty, "Tty", 0)                         \
    F(T, RAW, console_size, "ConsoleSize", SINCE(42)) \
    F(T, BOOL, attach_stdin, "AttachStdin", 0)        \
    F(T, BOOL, attach_stderr, "AttachStderr", 0)      \
    F(T, BOOL, attach_stdout, "AttachStdout", 0)      \
    F(T, STR, detach_keys, "DetachKeys", 0)           \
    F(T, STRS, env, "Env", 0)                         \
    F(T, STR, working_dir, "WorkingDir", 0)           \
    F(T, CMD, cmd, "Cmd", 0)
JSON_DECLARE(exec_config, EXEC_CONFIG)

#define EXEC_START(F, T)            \
    F(T, BOOL, detach, "Detach", 0) \
    F(T, BOOL, tty, "Tty", 0)       \
    F(T, RAW, console_size, "ConsoleSize", SINCE(42))
JSON_DECLARE(exec_start_options, EXEC_START)

#define EXEC_PROCESS(F, T)                         \
    F(T, STRS, arguments, "arguments", EMPTY_LIST) \
    F(T, STR, entrypoint, "entrypoint", 0)         \
    F(T, BOOL, privileged, "privileged", 0)        \
    F(T, BOOL, tty, "tty", 0)                      \
    F(T, STR, user, "user", OMIT_EMPTY)
JSON_DECLARE(exec_process, EXEC_PROCESS)

#define EXEC_INSPECT(F, T)                                      \
    F(T, STR, id, "ID", 0)                                      \
    F(T, BOOL, running, "Running", 0)                           \
    F(T, OPT_INT, exit_code, "ExitCode", 0)                     \
    F(T, OBJ(exec_process), process_config, "ProcessConfig", 0) \
    F(T, BOOL, open_stdin, "OpenStdin", 0)                      \
    F(T, BOOL, open_stderr, "OpenStderr", 0)                    \
    F(T, BOOL, open_stdout, "OpenStdout", 0)                    \
    F(T, BOOL, can_remove, "CanRemove", 0)                      \
    F(T, STR, container_id, "ContainerID", 0)                   \
    F(T, STR, detach_keys, "DetachKeys", 0)                     \
    F(T, INT, pid, "Pid", SINCE(25))
JSON_DECLARE(exec_inspect_answer, EXEC_INSPECT)

#define TOP_ANSWER(F, T)                 \
    F(T, RAW, processes, "Processes", 0) \
    F(T, STRS, titles, "Titles", EMPTY_LIST)
JSON_DECLARE(top_answer, TOP_ANSWER)

#define UPDATE_ANSWER(F, T) F(T, STRS, warnings, "Warnings", 0)
JSON_DECLARE(update_answer, UPDATE_ANSWER)

#define CONTAINERS_PRUNED(F, T)                 \
    F(T, STRS, deleted, "ContainersDeleted", 0) \
    F(T, INT, reclaimed, "SpaceReclaimed", 0)
JSON_DECLARE(containers_pruned, CONTAINERS_PRUNED)

#define ID_ANSWER(F, T) F(T, STR, id, "Id", 0)
JSON_DECLARE(id_answer, ID_ANSWER)

#endif
