/* What the C library does otherwise on macOS, where a program here can notice it. Every process
 * loads it, through /etc/ld.so.preload: a worker gets an environment of its own, in which LD_PRELOAD
 * would not survive. Structures and numbers are written down from XNU's headers once more, apart
 * from orchestrator/system/darwin.py, so that each checks the other. README.md has the sources.
 * PROC is the real /proc, which nothing else in here sees. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define REAL(name, ...) \
    static int (*real)(__VA_ARGS__); \
    if (!real) real = (int (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)
#define FAIL(number) return errno = (number), -1

/* Read a file of the real /proc, or as much of it as there is room for. */
static int look(const char *name, char *text, size_t room) {
    char path[4096];
    snprintf(path, sizeof path, PROC "/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, room - 1);
    if (fd >= 0) close(fd);
    return size < 0 ? -1 : (text[size] = 0, 0);
}

/* bsd/sys/proc_info.h: PROC_PIDTBSDINFO. A zombie is not found. */
struct proc_bsdinfo {
    uint32_t flags, status, xstatus, pid, ppid, uid, gid, ruid, rgid, svuid, svgid, rfu_1;
    char comm[16], name[32];
    uint32_t nfiles, pgid, pjobc, tdev, tpgid;
    int32_t nice;
    uint64_t start_tvsec, start_tvusec;
};

int proc_pidinfo(int pid, int flavor, uint64_t arg, void *buffer, int size) {
    struct proc_bsdinfo *info = buffer;
    char name[64], text[4096], state;
    long long ticks, second = sysconf(_SC_CLK_TCK), boot = 0;
    (void)arg;
    if (flavor != 3 || size < (int)sizeof *info) return errno = EINVAL, 0;
    snprintf(name, sizeof name, "%d/stat", pid);
    if (look(name, text, sizeof text)) return errno = ESRCH, 0;
    /* proc_pid_stat(5): the name, in parentheses, may hold anything; the start is field 22. */
    char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest, ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
                              " %*s %*s %lld", &state, &ticks) != 2) return errno = ESRCH, 0;
    if (state == 'Z' || state == 'X') return errno = ESRCH, 0;
    char *stat = malloc(1 << 20), *found;
    if (stat && !look("stat", stat, 1 << 20) && (found = strstr(stat, "btime ")))
        boot = atoll(found + 6);
    free(stat);
    memset(info, 0, sizeof *info);
    info->status = 2; /* SRUN */
    info->pid = pid;
    info->start_tvsec = boot + ticks / second;
    info->start_tvusec = ticks % second * 1000000 / second;
    return sizeof *info;
}

/* bsd/sys/resource.h: RUSAGE_INFO_V0. */
struct rusage_info_v0 {
    uint8_t uuid[16];
    uint64_t user_time, system_time, pkg_idle_wkups, interrupt_wkups, pageins, wired_size,
        resident_size, phys_footprint, proc_start_abstime, proc_exit_abstime;
};

int proc_pid_rusage(int pid, int flavor, void *buffer) {
    struct rusage_info_v0 *usage = buffer;
    char name[64], text[4096];
    long long pages;
    snprintf(name, sizeof name, "%d/statm", pid);
    if (flavor || look(name, text, sizeof text) || sscanf(text, "%*s %lld", &pages) != 1)
        FAIL(ESRCH);
    memset(usage, 0, sizeof *usage);
    usage->phys_footprint = pages * sysconf(_SC_PAGE_SIZE);
    return 0;
}

/* Of pages that can be had, all are free here. */
static int pages(const char *name) {
    char text[8192], *found;
    if (!strcmp(name, "vm.page_pageable_external_count") || !strcmp(name, "vm.page_purgeable_count"))
        return 0;
    if (strcmp(name, "vm.page_free_count") || look("meminfo", text, sizeof text)) return -1;
    found = strstr(text, "MemAvailable:");
    return found ? atoll(found + 13) * 1024 / sysconf(_SC_PAGE_SIZE) : -1;
}

int sysctlbyname(const char *name, void *old, size_t *room, void *new, size_t size) {
    if (!strcmp(name, "hw.perflevel0.name")) {
        const char own[] = "Performance";
        if (*room < sizeof own) FAIL(ENOMEM);
        memcpy(old, own, *room = sizeof own);
        return 0;
    }
    int value = !strcmp(name, "hw.nperflevels") ? 1
        : !strcmp(name, "hw.perflevel0.physicalcpu") ? sysconf(_SC_NPROCESSORS_ONLN) : pages(name);
    (void)new, (void)size;
    if (value < 0) FAIL(ENOENT);
    if (*room < sizeof value) FAIL(ENOMEM);
    memcpy(old, &value, *room = sizeof value);
    return 0;
}

/* bsd/sys/attr.h: private size and clone id. Here no file is a clone. */
int getattrlist(const char *path, void *wanted, void *buffer, size_t size, uint32_t options) {
    struct { uint16_t count, reserved; uint32_t common, volume, directory, file, fork; } *list = wanted;
    struct __attribute__((packed)) { uint32_t length; int64_t own; uint64_t clone; } answer;
    struct stat found;
    if (list->count != 5 || list->fork != 0x108 || options != 0x21 || size < sizeof answer) FAIL(EINVAL);
    if (lstat(path, &found)) return -1;
    answer.length = sizeof answer;
    answer.own = found.st_blocks * 512;
    answer.clone = found.st_ino;
    memcpy(buffer, &answer, sizeof answer);
    return 0;
}

/* _CS_DARWIN_USER_TEMP_DIR */
size_t confstr(int name, char *buffer, size_t room) {
    static size_t (*real)(int, char *, size_t);
    const char *own = "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/";
    if (!real) real = (size_t (*)(int, char *, size_t))dlsym(RTLD_NEXT, "confstr");
    if (name != 65537) return real(name, buffer, room);
    if (room) snprintf(buffer, room, "%s", own);
    return strlen(own) + 1;
}

/* Who is at the other end: level 0, option 1, and a struct of its own. */
int getsockopt(int fd, int level, int name, void *value, socklen_t *length) {
    struct { uint32_t version, uid; int16_t count; uint32_t groups[16]; } xucred = {0, 0, 1, {0}};
    struct ucred peer;
    socklen_t size = sizeof peer;
    REAL(getsockopt, int, int, int, void *, socklen_t *);
    if (level == SOL_SOCKET && name == SO_PEERCRED) FAIL(ENOPROTOOPT);
    if (level != 0 || name != 1) return real(fd, level, name, value, length);
    if (real(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) return -1;
    xucred.uid = peer.uid;
    xucred.groups[0] = peer.gid;
    if (*length > sizeof xucred) *length = sizeof xucred;
    memcpy(value, &xucred, *length);
    return 0;
}

/* A Unix socket holds 8 KiB: one that counts on room for more waits for ever here too. */
static int small(int fd, int family) {
    int bytes = 4096; /* Linux doubles it; 8,064 bytes go in */
    if (fd >= 0 && family == AF_UNIX) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return fd;
}

int socket(int family, int type, int protocol) {
    REAL(socket, int, int, int);
    return small(real(family, type, protocol), family);
}

/* Where too many wait to be accepted, the next one is refused. */
int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length) {
    REAL(connect, int, __CONST_SOCKADDR_ARG, socklen_t);
    int failed = real(fd, address, length);
    if (failed && errno == EAGAIN && address.__sockaddr__->sa_family == AF_UNIX) FAIL(ECONNREFUSED);
    return failed;
}

/* A connection is as its listener is, O_NONBLOCK included. Python accepts with accept4 alone. */
static int like(int listener, int fd) {
    struct sockaddr_un own;
    socklen_t length = sizeof own;
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&own, &length)) return fd;
    if (fcntl(listener, F_GETFL) & O_NONBLOCK) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return small(fd, own.sun_family);
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags) {
    REAL(accept4, int, __SOCKADDR_ARG, socklen_t *, int);
    return like(fd, real(fd, address, length, flags));
}

/* The path of a Unix socket has 104 bytes, its closing zero included. */
int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length) {
    const struct sockaddr_un *own = (const struct sockaddr_un *)address.__sockaddr__;
    REAL(bind, int, __CONST_SOCKADDR_ARG, socklen_t);
    if (length > 2 && own->sun_family == AF_UNIX && strnlen(own->sun_path, length - 2) > 103)
        FAIL(ENAMETOOLONG);
    return real(fd, address, length);
}

/* What there is not. */
int memfd_create(const char *name, unsigned flags) { (void)name, (void)flags; FAIL(ENOSYS); }
int prctl(int option, ...) { (void)option; FAIL(ENOSYS); }

long syscall(long number, ...) {
    static long (*real)(long, ...);
    long each[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++) each[i] = va_arg(rest, long);
    va_end(rest);
    if (number == 424 || number == 434) FAIL(ENOSYS); /* pidfd_send_signal, pidfd_open, everywhere */
    if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return real(number, each[0], each[1], each[2], each[3], each[4], each[5]);
}
