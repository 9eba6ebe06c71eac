/* system.h - what GET /version and GET /info answer. */
#ifndef BERTH_API_SYSTEM_H
#define BERTH_API_SYSTEM_H

#include <berth/api/container.h>
#include <berth/api/image.h>
#include <berth/api/volume.h>
#include <berth/json.h>

#define VERSION_PLATFORM(F, T) F(T, STR, name, "Name", 0)
JSON_DECLARE(version_platform, VERSION_PLATFORM)
#define VERSION_COMPONENT(F, T)      \
    F(T, STR, name, "Name", 0)       \
    F(T, STR, version, "Version", 0) \
    F(T, MAP, details, "Details", OMIT_EMPTY)
JSON_DECLARE(version_component, VERSION_COMPONENT)
#define VERSION_ANSWER(F, T)                                            \
    F(T, OBJ(version_platform), platform, "Platform", 0)                \
    F(T, OBJS(version_component), components, "Components", EMPTY_LIST) \
    F(T, STR, version, "Version", 0)                                    \
    F(T, STR, api_version, "ApiVersion", 0)                             \
    F(T, STR, min_api_version, "MinAPIVersion", 0)                      \
    F(T, STR, git_commit, "GitCommit", 0)                               \
    F(T, STR, go_version, "GoVersion", 0)                               \
    F(T, STR, os, "Os", 0)                                              \
    F(T, STR, arch, "Arch", 0)                                          \
    F(T, STR, kernel_version, "KernelVersion", 0)                       \
    F(T, STR, build_time, "BuildTime", OMIT_EMPTY)
JSON_DECLARE(version_answer, VERSION_ANSWER)

#define INFO_PLUGINS(F, T)                        \
    F(T, STRS, volume, "Volume", EMPTY_LIST)      \
    F(T, STRS, network, "Network", EMPTY_LIST)    \
    F(T, STRS, authorization, "Authorization", 0) \
    F(T, STRS, log, "Log", EMPTY_LIST)
JSON_DECLARE(info_plugins, INFO_PLUGINS)
#define INFO_RUNTIME(F, T)              \
    F(T, STR, path, "path", OMIT_EMPTY) \
    F(T, STRS, args, "runtimeArgs", OMIT_EMPTY)
JSON_DECLARE(info_runtime, INFO_RUNTIME)
#define INFO_COMMIT(F, T)  \
    F(T, STR, id, "ID", 0) \
    F(T, STR, expected, "Expected", UNTIL(48))
JSON_DECLARE(info_commit, INFO_COMMIT)
#define INFO_SWARM(F, T)                       \
    F(T, STR, node_id, "NodeID", 0)            \
    F(T, STR, node_addr, "NodeAddr", 0)        \
    F(T, STR, state, "LocalNodeState", 0)      \
    F(T, BOOL, control, "ControlAvailable", 0) \
    F(T, STR, error, "Error", 0)               \
    F(T, STRS, remote_managers, "RemoteManagers", 0)
JSON_DECLARE(info_swarm, INFO_SWARM)
#define INFO_REGISTRY(F, T)                                         \
    F(T, STRS, insecure_cidrs, "InsecureRegistryCIDRs", EMPTY_LIST) \
    F(T, RAW, index_configs, "IndexConfigs", 0)                     \
    F(T, STRS, mirrors, "Mirrors", 0)
JSON_DECLARE(info_registry, INFO_REGISTRY)
#define INFO_FIREWALL(F, T) F(T, STR, driver, "Driver", 0)
JSON_DECLARE(info_firewall, INFO_FIREWALL)

#define INFO_ANSWER(F, T)                                                          \
    F(T, STR, id, "ID", 0)                                                         \
    F(T, INT, containers, "Containers", 0)                                         \
    F(T, INT, running, "ContainersRunning", 0)                                     \
    F(T, INT, paused, "ContainersPaused", 0)                                       \
    F(T, INT, stopped, "ContainersStopped", 0)                                     \
    F(T, INT, images, "Images", 0)                                                 \
    F(T, STR, driver, "Driver", 0)                                                 \
    F(T, RAW, driver_status, "DriverStatus", 0)                                    \
    F(T, OBJ(info_plugins), plugins, "Plugins", 0)                                 \
    F(T, BOOL, memory_limit, "MemoryLimit", 0)                                     \
    F(T, BOOL, swap_limit, "SwapLimit", 0)                                         \
    F(T, BOOL, cpu_cfs_period, "CpuCfsPeriod", 0)                                  \
    F(T, BOOL, cpu_cfs_quota, "CpuCfsQuota", 0)                                    \
    F(T, BOOL, cpu_shares, "CPUShares", 0)                                         \
    F(T, BOOL, cpu_set, "CPUSet", 0)                                               \
    F(T, BOOL, pids_limit, "PidsLimit", 0)                                         \
    F(T, BOOL, ipv4_forwarding, "IPv4Forwarding", 0)                               \
    F(T, BOOL, bridge_nf_iptables, "BridgeNfIptables", UNTIL(49))                  \
    F(T, BOOL, bridge_nf_ip6tables, "BridgeNfIp6tables", UNTIL(49))                \
    F(T, BOOL, debug, "Debug", 0)                                                  \
    F(T, INT, n_fd, "NFd", 0)                                                      \
    F(T, BOOL, oom_kill_disable, "OomKillDisable", 0)                              \
    F(T, INT, n_goroutines, "NGoroutines", 0)                                      \
    F(T, STR, system_time, "SystemTime", 0)                                        \
    F(T, STR, logging_driver, "LoggingDriver", 0)                                  \
    F(T, STR, cgroup_driver, "CgroupDriver", 0)                                    \
    F(T, STR, cgroup_version, "CgroupVersion", SINCE(41))                          \
    F(T, INT, n_events_listener, "NEventsListener", 0)                             \
    F(T, STR, kernel_version, "KernelVersion", 0)                                  \
    F(T, STR, operating_system, "OperatingSystem", 0)                              \
    F(T, STR, os_version, "OSVersion", SINCE(41))                                  \
    F(T, STR, os_type, "OSType", 0)                                                \
    F(T, STR, architecture, "Architecture", 0)                                     \
    F(T, STR, index_server, "IndexServerAddress", 0)                               \
    F(T, OBJ(info_registry), registry, "RegistryConfig", 0)                        \
    F(T, INT, n_cpu, "NCPU", 0)                                                    \
    F(T, INT, mem_total, "MemTotal", 0)                                            \
    F(T, STRS, generic_resources, "GenericResources", 0)                           \
    F(T, STR, root_dir, "DockerRootDir", 0)                                        \
    F(T, STR, http_proxy, "HttpProxy", 0)                                          \
    F(T, STR, https_proxy, "HttpsProxy", 0)                                        \
    F(T, STR, no_proxy, "NoProxy", 0)                                              \
    F(T, STR, name, "Name", 0)                                                     \
    F(T, STRS, labels, "Labels", EMPTY_LIST)                                       \
    F(T, BOOL, experimental, "ExperimentalBuild", 0)                               \
    F(T, STR, server_version, "ServerVersion", 0)                                  \
    F(T, MAPOF(info_runtime), runtimes, "Runtimes", 0)                             \
    F(T, STR, default_runtime, "DefaultRuntime", 0)                                \
    F(T, OBJ(info_swarm), swarm, "Swarm", 0)                                       \
    F(T, BOOL, live_restore, "LiveRestoreEnabled", 0)                              \
    F(T, STR, isolation, "Isolation", 0)                                           \
    F(T, STR, init_binary, "InitBinary", 0)                                        \
    F(T, OBJ(info_commit), containerd_commit, "ContainerdCommit", 0)               \
    F(T, OBJ(info_commit), runc_commit, "RuncCommit", 0)                           \
    F(T, OBJ(info_commit), init_commit, "InitCommit", 0)                           \
    F(T, STRS, security_options, "SecurityOptions", EMPTY_LIST)                    \
    F(T, OBJP(info_firewall), firewall, "FirewallBackend", OMIT_UNSET | SINCE(49)) \
    F(T, STRS, cdi_spec_dirs, "CDISpecDirs", EMPTY_LIST | SINCE(44))               \
    F(T, STRS, warnings, "Warnings", 0)
JSON_DECLARE(info_answer, INFO_ANSWER)

/* GET /system/df up to 1.51; what is not asked for is null. */
#define BUILD_CACHE(F, T) F(T, STR, id, "ID", 0)
JSON_DECLARE(build_cache, BUILD_CACHE)

#define DISK_USAGE(F, T)                                       \
    F(T, INT, layers_size, "LayersSize", 0)                    \
    F(T, OBJS(image_summary), images, "Images", 0)             \
    F(T, OBJS(container_summary), containers, "Containers", 0) \
    F(T, OBJS(volume_info), volumes, "Volumes", 0)             \
    F(T, OBJS(build_cache), build_cache, "BuildCache", 0)      \
    F(T, INT, builder_size, "BuilderSize", UNTIL(41))
JSON_DECLARE(disk_usage, DISK_USAGE)

#endif
