/* config.h - the two objects that say what a container is: Config (portable) and HostConfig (of
 * this host), in the order dockerd writes them. */
#ifndef BERTH_API_CONFIG_H
#define BERTH_API_CONFIG_H

#include <berth/api/mount.h>
#include <berth/json.h>

#define HEALTHCHECK(F, T)                                              \
    F(T, STRS, test, "Test", OMIT_EMPTY)                               \
    F(T, INT, interval, "Interval", OMIT_EMPTY)                        \
    F(T, INT, timeout, "Timeout", OMIT_EMPTY)                          \
    F(T, INT, start_period, "StartPeriod", OMIT_EMPTY)                 \
    F(T, INT, start_interval, "StartInterval", OMIT_EMPTY | SINCE(44)) \
    F(T, INT, retries, "Retries", OMIT_EMPTY)
JSON_DECLARE(healthcheck, HEALTHCHECK)

#define CONTAINER_CONFIG(F, T)                                      \
    F(T, STR, hostname, "Hostname", 0)                              \
    F(T, STR, domainname, "Domainname", 0)                          \
    F(T, STR, user, "User", 0)                                      \
    F(T, BOOL, attach_stdin, "AttachStdin", 0)                      \
    F(T, BOOL, attach_stdout, "AttachStdout", 0)                    \
    F(T, BOOL, attach_stderr, "AttachStderr", 0)                    \
    F(T, SET, exposed_ports, "ExposedPorts", OMIT_EMPTY)            \
    F(T, BOOL, tty, "Tty", 0)                                       \
    F(T, BOOL, open_stdin, "OpenStdin", 0)                          \
    F(T, BOOL, stdin_once, "StdinOnce", 0)                          \
    F(T, STRS, env, "Env", 0)                                       \
    F(T, CMD, cmd, "Cmd", 0)                                        \
    F(T, OBJP(healthcheck), healthcheck, "Healthcheck", OMIT_UNSET) \
    F(T, BOOL, args_escaped, "ArgsEscaped", OMIT_EMPTY)             \
    F(T, STR, image, "Image", 0)                                    \
    F(T, SET, volumes, "Volumes", 0)                                \
    F(T, STR, working_dir, "WorkingDir", 0)                         \
    F(T, CMD, entrypoint, "Entrypoint", 0)                          \
    F(T, BOOL, network_disabled, "NetworkDisabled", OMIT_EMPTY)     \
    F(T, STR, mac_address, "MacAddress", OMIT_EMPTY | UNTIL(51))    \
    F(T, STRS, on_build, "OnBuild", 0)                              \
    F(T, MAP, labels, "Labels", EMPTY_LIST)                         \
    F(T, STR, stop_signal, "StopSignal", OMIT_EMPTY)                \
    F(T, OPT_INT, stop_timeout, "StopTimeout", OMIT_UNSET)          \
    F(T, CMD, shell, "Shell", OMIT_EMPTY)
JSON_DECLARE(container_config, CONTAINER_CONFIG)

#define LOG_CONFIG(F, T)       \
    F(T, STR, type, "Type", 0) \
    F(T, MAP, config, "Config", EMPTY_LIST)
JSON_DECLARE(log_config, LOG_CONFIG)

#define PORT_BINDING(F, T)          \
    F(T, STR, host_ip, "HostIp", 0) \
    F(T, STR, host_port, "HostPort", 0)
JSON_DECLARE(port_binding, PORT_BINDING)

#define RESTART_POLICY(F, T)   \
    F(T, STR, name, "Name", 0) \
    F(T, INT, maximum_retry_count, "MaximumRetryCount", 0)
JSON_DECLARE(restart_policy, RESTART_POLICY)

#define WEIGHT_DEVICE(F, T)    \
    F(T, STR, path, "Path", 0) \
    F(T, INT, weight, "Weight", 0)
JSON_DECLARE(weight_device, WEIGHT_DEVICE)

#define THROTTLE_DEVICE(F, T)  \
    F(T, STR, path, "Path", 0) \
    F(T, INT, rate, "Rate", 0)
JSON_DECLARE(throttle_device, THROTTLE_DEVICE)

#define DEVICE_MAPPING(F, T)                           \
    F(T, STR, path_on_host, "PathOnHost", 0)           \
    F(T, STR, path_in_container, "PathInContainer", 0) \
    F(T, STR, cgroup_permissions, "CgroupPermissions", 0)
JSON_DECLARE(device_mapping, DEVICE_MAPPING)

#define DEVICE_REQUEST(F, T)                   \
    F(T, STR, driver, "Driver", 0)             \
    F(T, INT, count, "Count", 0)               \
    F(T, STRS, device_ids, "DeviceIDs", 0)     \
    F(T, RAW, capabilities, "Capabilities", 0) \
    F(T, MAP, options, "Options", 0)
JSON_DECLARE(device_request, DEVICE_REQUEST)

#define ULIMIT(F, T)           \
    F(T, STR, name, "Name", 0) \
    F(T, INT, hard, "Hard", 0) \
    F(T, INT, soft, "Soft", 0)
JSON_DECLARE(ulimit, ULIMIT)

#define HOST_CONFIG(F, T)                                                               \
    F(T, STRS, binds, "Binds", 0)                                                       \
    F(T, STR, container_id_file, "ContainerIDFile", 0)                                  \
    F(T, OBJ(log_config), log_config, "LogConfig", 0)                                   \
    F(T, STR, network_mode, "NetworkMode", 0)                                           \
    F(T, MAPLISTOF(port_binding), port_bindings, "PortBindings", EMPTY_LIST)            \
    F(T, OBJ(restart_policy), restart_policy, "RestartPolicy", 0)                       \
    F(T, BOOL, auto_remove, "AutoRemove", 0)                                            \
    F(T, STR, volume_driver, "VolumeDriver", 0)                                         \
    F(T, STRS, volumes_from, "VolumesFrom", 0)                                          \
    F(T, RAW, console_size, "ConsoleSize", SINCE(42))                                   \
    F(T, MAP, annotations, "Annotations", OMIT_EMPTY | SINCE(43))                       \
    F(T, STRS, cap_add, "CapAdd", 0)                                                    \
    F(T, STRS, cap_drop, "CapDrop", 0)                                                  \
    F(T, STR, cgroupns_mode, "CgroupnsMode", SINCE(41))                                 \
    F(T, STRS, dns, "Dns", 0)                                                           \
    F(T, STRS, dns_options, "DnsOptions", 0)                                            \
    F(T, STRS, dns_search, "DnsSearch", 0)                                              \
    F(T, STRS, extra_hosts, "ExtraHosts", 0)                                            \
    F(T, STRS, group_add, "GroupAdd", 0)                                                \
    F(T, STR, ipc_mode, "IpcMode", 0)                                                   \
    F(T, STR, cgroup, "Cgroup", 0)                                                      \
    F(T, STRS, links, "Links", 0)                                                       \
    F(T, INT, oom_score_adj, "OomScoreAdj", 0)                                          \
    F(T, STR, pid_mode, "PidMode", 0)                                                   \
    F(T, BOOL, privileged, "Privileged", 0)                                             \
    F(T, BOOL, publish_all_ports, "PublishAllPorts", 0)                                 \
    F(T, BOOL, readonly_rootfs, "ReadonlyRootfs", 0)                                    \
    F(T, STRS, security_opt, "SecurityOpt", 0)                                          \
    F(T, MAP, storage_opt, "StorageOpt", OMIT_EMPTY)                                    \
    F(T, MAP, tmpfs, "Tmpfs", OMIT_EMPTY)                                               \
    F(T, STR, uts_mode, "UTSMode", 0)                                                   \
    F(T, STR, userns_mode, "UsernsMode", 0)                                             \
    F(T, INT, shm_size, "ShmSize", 0)                                                   \
    F(T, MAP, sysctls, "Sysctls", OMIT_EMPTY)                                           \
    F(T, STR, runtime, "Runtime", OMIT_EMPTY)                                           \
    F(T, STR, isolation, "Isolation", 0)                                                \
    F(T, INT, cpu_shares, "CpuShares", 0)                                               \
    F(T, INT, memory, "Memory", 0)                                                      \
    F(T, INT, nano_cpus, "NanoCpus", 0)                                                 \
    F(T, STR, cgroup_parent, "CgroupParent", 0)                                         \
    F(T, INT, blkio_weight, "BlkioWeight", 0)                                           \
    F(T, OBJS(weight_device), blkio_weight_device, "BlkioWeightDevice", 0)              \
    F(T, OBJS(throttle_device), blkio_read_bps, "BlkioDeviceReadBps", 0)                \
    F(T, OBJS(throttle_device), blkio_write_bps, "BlkioDeviceWriteBps", 0)              \
    F(T, OBJS(throttle_device), blkio_read_iops, "BlkioDeviceReadIOps", 0)              \
    F(T, OBJS(throttle_device), blkio_write_iops, "BlkioDeviceWriteIOps", 0)            \
    F(T, INT, cpu_period, "CpuPeriod", 0)                                               \
    F(T, INT, cpu_quota, "CpuQuota", 0)                                                 \
    F(T, INT, cpu_realtime_period, "CpuRealtimePeriod", 0)                              \
    F(T, INT, cpu_realtime_runtime, "CpuRealtimeRuntime", 0)                            \
    F(T, STR, cpuset_cpus, "CpusetCpus", 0)                                             \
    F(T, STR, cpuset_mems, "CpusetMems", 0)                                             \
    F(T, OBJS(device_mapping), devices, "Devices", 0)                                   \
    F(T, STRS, device_cgroup_rules, "DeviceCgroupRules", 0)                             \
    F(T, OBJS(device_request), device_requests, "DeviceRequests", SINCE(40))            \
    F(T, INT, kernel_memory, "KernelMemory", OMIT_EMPTY | UNTIL(41))                    \
    F(T, INT, kernel_memory_tcp, "KernelMemoryTCP", OMIT_EMPTY | SINCE(40) | UNTIL(51)) \
    F(T, INT, memory_reservation, "MemoryReservation", 0)                               \
    F(T, INT, memory_swap, "MemorySwap", 0)                                             \
    F(T, OPT_INT, memory_swappiness, "MemorySwappiness", 0)                             \
    F(T, OPT_BOOL, oom_kill_disable, "OomKillDisable", 0)                               \
    F(T, OPT_INT, pids_limit, "PidsLimit", 0)                                           \
    F(T, OBJS(ulimit), ulimits, "Ulimits", 0)                                           \
    F(T, INT, cpu_count, "CpuCount", 0)                                                 \
    F(T, INT, cpu_percent, "CpuPercent", 0)                                             \
    F(T, INT, io_maximum_iops, "IOMaximumIOps", 0)                                      \
    F(T, INT, io_maximum_bandwidth, "IOMaximumBandwidth", 0)                            \
    F(T, OBJS(mount_wish), mounts, "Mounts", OMIT_EMPTY)                                \
    F(T, STRS, masked_paths, "MaskedPaths", SINCE(38))                                  \
    F(T, STRS, readonly_paths, "ReadonlyPaths", SINCE(38))                              \
    F(T, OPT_BOOL, init, "Init", OMIT_UNSET)
JSON_DECLARE(host_config, HOST_CONFIG)

#endif
