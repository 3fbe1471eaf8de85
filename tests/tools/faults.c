// A broken machine, for tests: preloaded into the programs (LD_PRELOAD), it counts what they ask of the disk within one folder, over all their
// processes and threads, and lets the call of a certain number fail. It can also set the clock off.
//
// Environment:
//   FAULT_FOLDER   what happens outside of it is not counted, and never fails
//   FAULT_STATE    a file of sizeof(struct state) zeros, shared by all processes; what happened stands in it afterwards
//   FAULT_KIND     an error's number; 0 kills the process group; -1 does so as a power cut does: what was not made durable is gone
//   FAULT_READS    1: reading is counted and fails; otherwise writing in the wider sense
//   FAULT_LASTS    1: every later call fails, too, as on a full disk
// The number is in the state, for a process that runs already can so be broken as well.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FILES 512

struct state {
    _Atomic int64_t at;            // the number that fails, from 1; 0: none
    _Atomic int64_t calls;         // how many there were
    _Atomic int64_t clock_offset;  // seconds, added to the time of day
    _Atomic int64_t hit;           // 1 as soon as a call failed
    char what[512];                // which
    struct {
        _Atomic uint64_t device, inode;
        _Atomic int64_t durable;   // its length when it was last made durable
        char path[512];
    } file[FILES];
};

static struct state *state;
static char folder[PATH_MAX];
static size_t folder_length;
static int kind, reads, lasts;

#define REAL(name)                                                       \
    static __typeof__(name) *real;                                       \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *place = getenv("FAULT_FOLDER"), *shared = getenv("FAULT_STATE"), *text;
    if (!place || !shared) return;
    int descriptor = open(shared, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) return;
    void *mapped = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (mapped == MAP_FAILED) return;
    snprintf(folder, sizeof folder, "%s", place);
    folder_length = strlen(folder);
    kind = (text = getenv("FAULT_KIND")) ? atoi(text) : EIO;
    reads = (text = getenv("FAULT_READS")) && *text == '1';
    lasts = (text = getenv("FAULT_LASTS")) && *text == '1';
    state = mapped;
}

static int is_inside(const char *path) {
    return strncmp(path, folder, folder_length) == 0 && (path[folder_length] == '/' || !path[folder_length]);
}

// The path of a descriptor; NULL where it is none of a file in the folder.
static const char *path_of(int descriptor, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, buffer, PATH_MAX - 1);
    if (length <= 0) return NULL;
    buffer[length] = 0;
    return is_inside(buffer) ? buffer : NULL;
}

static const char *absolute(int at, const char *path, char *buffer) {
    if (path[0] == '/') {
        snprintf(buffer, PATH_MAX, "%s", path);
    } else if (at == AT_FDCWD) {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here)) return NULL;
        snprintf(buffer, PATH_MAX, "%.2000s/%.2000s", here, path);
    } else {
        char there[PATH_MAX];
        if (!path_of(at, there)) return NULL;
        snprintf(buffer, PATH_MAX, "%.2000s/%.2000s", there, path);
    }
    return is_inside(buffer) ? buffer : NULL;
}

// What lies in a file beyond the length that was made durable does not survive a power cut.
static void lose_what_is_not_durable(void) {
    for (int i = 0; i < FILES; i++) {
        struct stat now;
        if (!state->file[i].inode || stat(state->file[i].path, &now) != 0) continue;
        if (now.st_ino == state->file[i].inode && now.st_size > state->file[i].durable)
            if (truncate(state->file[i].path, state->file[i].durable) != 0) abort();
    }
}

static void remember(int descriptor, int is_durable) {
    struct stat now;
    char buffer[PATH_MAX];
    if (kind != -1 || fstat(descriptor, &now) != 0 || !S_ISREG(now.st_mode)) return;
    for (int i = 0; i < FILES; i++) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(&state->file[i].inode, &none, now.st_ino)) {
            state->file[i].device = now.st_dev;
            state->file[i].durable = is_durable ? now.st_size : 0;
        } else if (none != now.st_ino) {
            continue;
        } else if (is_durable) {
            state->file[i].durable = now.st_size;
        }
        // It may have been renamed meanwhile.
        if (path_of(descriptor, buffer)) snprintf(state->file[i].path, sizeof state->file[i].path, "%.500s", buffer);
        return;
    }
}

static void renamed(const char *path) {
    struct stat now;
    if (kind != -1 || stat(path, &now) != 0) return;
    for (int i = 0; i < FILES; i++)
        if (state->file[i].inode == now.st_ino)
            snprintf(state->file[i].path, sizeof state->file[i].path, "%.500s", path);
}

// Whether this call fails. It dies here where it is to die.
static int fails(const char *call, const char *path, int is_read) {
    if (!state || !path || is_read != reads) return 0;
    int64_t number = ++state->calls, at = state->at;
    if (!at || (lasts ? number < at : number != at)) return 0;
    int64_t no = 0;
    if (atomic_compare_exchange_strong(&state->hit, &no, 1))
        snprintf(state->what, sizeof state->what, "%s %.480s", call, path + folder_length);
    if (kind <= 0) {
        if (kind < 0) lose_what_is_not_durable();
        kill(0, SIGKILL);
    }
    errno = kind;
    return 1;
}

#define IN_FOLDER(descriptor) (state ? path_of(descriptor, buffer) : NULL)
#define PATH(path) (state ? absolute(AT_FDCWD, path, buffer) : NULL)
#define PATH_AT(at, path) (state ? absolute(at, path, buffer) : NULL)
#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & O_CREAT))

#define OPEN(name)                                                       \
    int name(const char *path, int flags, ...) {                         \
        char buffer[PATH_MAX];                                           \
        va_list list;                                                    \
        va_start(list, flags);                                           \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(list, mode_t) : 0; \
        va_end(list);                                                    \
        REAL(name);                                                      \
        if (fails(#name, PATH(path), !WRITES(flags))) return -1;         \
        int opened = real(path, flags, mode);                            \
        if (opened >= 0 && state && WRITES(flags) && PATH(path)) remember(opened, 0); \
        return opened;                                                   \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                     \
    int name(int at, const char *path, int flags, ...) {                 \
        char buffer[PATH_MAX];                                           \
        va_list list;                                                    \
        va_start(list, flags);                                           \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(list, mode_t) : 0; \
        va_end(list);                                                    \
        REAL(name);                                                      \
        if (fails(#name, PATH_AT(at, path), !WRITES(flags))) return -1;  \
        int opened = real(at, path, flags, mode);                        \
        if (opened >= 0 && state && WRITES(flags) && PATH_AT(at, path)) remember(opened, 0); \
        return opened;                                                   \
    }
OPENAT(openat)
OPENAT(openat64)

#define STREAM(name)                                                     \
    FILE *name(const char *path, const char *mode) {                     \
        char buffer[PATH_MAX];                                           \
        REAL(name);                                                      \
        int is_read = mode[0] == 'r' && !strchr(mode, '+');              \
        if (fails(#name, PATH(path), is_read)) return NULL;              \
        FILE *opened = real(path, mode);                                 \
        if (opened && state && !is_read && PATH(path)) remember(fileno(opened), 0); \
        return opened;                                                   \
    }
STREAM(fopen)
STREAM(fopen64)

// A call on a descriptor. What was written is remembered for the power cut.
#define ON_DESCRIPTOR(type, name, is_read, parameters, arguments)        \
    type name parameters {                                               \
        char buffer[PATH_MAX];                                           \
        REAL(name);                                                      \
        if (fails(#name, IN_FOLDER(descriptor), is_read)) return -1;     \
        return real arguments;                                           \
    }
ON_DESCRIPTOR(ssize_t, write, 0, (int descriptor, const void *bytes, size_t count), (descriptor, bytes, count))
ON_DESCRIPTOR(ssize_t, pwrite, 0, (int descriptor, const void *bytes, size_t count, off_t at), (descriptor, bytes, count, at))
ON_DESCRIPTOR(ssize_t, pwrite64, 0, (int descriptor, const void *bytes, size_t count, off64_t at), (descriptor, bytes, count, at))
ON_DESCRIPTOR(ssize_t, writev, 0, (int descriptor, const struct iovec *parts, int count), (descriptor, parts, count))
ON_DESCRIPTOR(int, ftruncate, 0, (int descriptor, off_t length), (descriptor, length))
ON_DESCRIPTOR(int, ftruncate64, 0, (int descriptor, off64_t length), (descriptor, length))
ON_DESCRIPTOR(int, fallocate, 0, (int descriptor, int mode, off_t from, off_t length), (descriptor, mode, from, length))
ON_DESCRIPTOR(int, fallocate64, 0, (int descriptor, int mode, off64_t from, off64_t length), (descriptor, mode, from, length))
ON_DESCRIPTOR(ssize_t, read, 1, (int descriptor, void *bytes, size_t count), (descriptor, bytes, count))
ON_DESCRIPTOR(ssize_t, pread, 1, (int descriptor, void *bytes, size_t count, off_t at), (descriptor, bytes, count, at))
ON_DESCRIPTOR(ssize_t, pread64, 1, (int descriptor, void *bytes, size_t count, off64_t at), (descriptor, bytes, count, at))

ssize_t copy_file_range(int from, off64_t *from_at, int descriptor, off64_t *at, size_t count, unsigned flags) {
    char buffer[PATH_MAX];
    REAL(copy_file_range);
    if (fails("copy_file_range", IN_FOLDER(descriptor), 0)) return -1;
    return real(from, from_at, descriptor, at, count, flags);
}

#define SYNC(name)                                                       \
    int name(int descriptor) {                                           \
        char buffer[PATH_MAX];                                           \
        REAL(name);                                                      \
        const char *path = IN_FOLDER(descriptor);                        \
        if (fails(#name, path, 0)) return -1;                            \
        int result = real(descriptor);                                   \
        if (result == 0 && path) remember(descriptor, 1);                \
        return result;                                                   \
    }
SYNC(fsync)
SYNC(fdatasync)

size_t fwrite(const void *bytes, size_t size, size_t count, FILE *stream) {
    char buffer[PATH_MAX];
    REAL(fwrite);
    if (state && fails("fwrite", path_of(fileno(stream), buffer), 0)) return 0;
    return real(bytes, size, count, stream);
}

int fclose(FILE *stream) {
    char buffer[PATH_MAX];
    REAL(fclose);
    int writes = state && (fcntl(fileno(stream), F_GETFL) & O_ACCMODE) != O_RDONLY;
    int failed = writes && fails("fclose", path_of(fileno(stream), buffer), 0);
    int reason = errno, result = real(stream);
    if (!failed) return result;
    errno = reason;
    return EOF;
}

// A call on a name.
#define ON_PATH(name, parameters, arguments, path)                       \
    int name parameters {                                                \
        char buffer[PATH_MAX];                                           \
        REAL(name);                                                      \
        if (fails(#name, path, 0)) return -1;                            \
        return real arguments;                                           \
    }
ON_PATH(mkdir, (const char *made, mode_t mode), (made, mode), PATH(made))
ON_PATH(mkdirat, (int at, const char *made, mode_t mode), (at, made, mode), PATH_AT(at, made))
ON_PATH(rmdir, (const char *gone), (gone), PATH(gone))
ON_PATH(unlink, (const char *gone), (gone), PATH(gone))
ON_PATH(unlinkat, (int at, const char *gone, int flags), (at, gone, flags), PATH_AT(at, gone))
ON_PATH(link, (const char *from, const char *to), (from, to), PATH(to))
ON_PATH(linkat, (int at, const char *from, int there, const char *to, int flags), (at, from, there, to, flags), PATH_AT(there, to))
ON_PATH(symlink, (const char *from, const char *to), (from, to), PATH(to))
ON_PATH(chmod, (const char *changed, mode_t mode), (changed, mode), PATH(changed))

#define RENAME(name, parameters, arguments, to)                          \
    int name parameters {                                                \
        char buffer[PATH_MAX];                                           \
        REAL(name);                                                      \
        if (fails(#name, to, 0)) return -1;                              \
        int result = real arguments;                                     \
        const char *path = to;                                           \
        if (result == 0 && path) renamed(path);                          \
        return result;                                                   \
    }
RENAME(rename, (const char *from, const char *new_name), (from, new_name), PATH(new_name))
RENAME(renameat, (int at, const char *from, int there, const char *new_name), (at, from, there, new_name), PATH_AT(there, new_name))
RENAME(renameat2, (int at, const char *from, int there, const char *new_name, unsigned flags), (at, from, there, new_name, flags), PATH_AT(there, new_name))

int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(clock_gettime);
    int result = real(clock, time);
    if (state && result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += state->clock_offset;
    return result;
}
