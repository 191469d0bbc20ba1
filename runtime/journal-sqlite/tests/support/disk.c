/* A disk that tells what reached it. Preloaded into a process, it looks at the calls that
 * change files under $DISK_FOLDER, and does one or more of three things:
 *
 *   $DISK_LOG    appends each change and each finished sync to this file, in one order for
 *                all threads, so that the disk after a loss of power can be worked out.
 *   $DISK_GATE   while a file of this name exists, a sync makes `<name>.waiting` and waits.
 *   $DISK_COUNT  counts finished syncs in the first 8 bytes of this file.
 *
 * SQLite is linked statically, but it calls the C library dynamically, so this sees it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_length;
static char gate[PATH_MAX];
static char gate_waiting[PATH_MAX + 16];
static int log_file = -1;
static _Atomic uint64_t *count;

static void setting(const char *name, char *to) {
    const char *value = getenv(name);
    if (value != NULL && strlen(value) < PATH_MAX) {
        strcpy(to, value);
    }
}

__attribute__((constructor)) static void start(void) {
    char path[PATH_MAX] = "";
    setting("DISK_FOLDER", folder);
    folder_length = strlen(folder);
    setting("DISK_GATE", gate);
    snprintf(gate_waiting, sizeof gate_waiting, "%s.waiting", gate);
    setting("DISK_LOG", path);
    if (path[0] != 0) {
        log_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log_file < 0) {
            abort();
        }
    }
    path[0] = 0;
    setting("DISK_COUNT", path);
    if (path[0] != 0) {
        int file = open(path, O_RDWR | O_CLOEXEC);
        void *page = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (file < 0 || page == MAP_FAILED) {
            abort();
        }
        count = page;
    }
}

/* The file's path below the folder, "" for the folder itself; false if it is elsewhere. */
static int is_ours(int file, char *name) {
    char link[64], path[PATH_MAX];
    if (folder_length == 0) {
        return 0;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) {
        return 0;
    }
    path[length] = 0;
    if (strncmp(path, folder, folder_length) != 0) {
        return 0;
    }
    const char *rest = path + folder_length;
    if (*rest != 0 && *rest != '/') {
        return 0;
    }
    strcpy(name, *rest == '/' ? rest + 1 : rest);
    return 1;
}

static void put(const void *bytes, size_t length) {
    const char *from = bytes;
    while (length > 0) {
        long done = syscall(SYS_write, log_file, from, length);
        if (done <= 0) {
            abort();
        }
        from += done;
        length -= (size_t)done;
    }
}

/* kind, length of name, name, offset, length of data, data; numbers are 8 bytes, this machine's. */
static void note(char kind, const char *name, uint64_t offset, const void *data, uint64_t length) {
    uint64_t name_length = strlen(name);
    if (log_file < 0) {
        return;
    }
    put(&kind, 1);
    put(&name_length, 8);
    put(name, name_length);
    put(&offset, 8);
    put(&length, 8);
    put(data, length);
}

ssize_t write(int file, const void *data, size_t length) {
    char name[PATH_MAX];
    if (!is_ours(file, name)) {
        return syscall(SYS_write, file, data, length);
    }
    pthread_mutex_lock(&order);
    ssize_t done = syscall(SYS_write, file, data, length);
    if (done > 0) {
        note('w', name, (uint64_t)lseek(file, 0, SEEK_CUR) - (uint64_t)done, data, (uint64_t)done);
    }
    pthread_mutex_unlock(&order);
    return done;
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset) {
    char name[PATH_MAX];
    if (!is_ours(file, name)) {
        return syscall(SYS_pwrite64, file, data, length, offset);
    }
    pthread_mutex_lock(&order);
    ssize_t done = syscall(SYS_pwrite64, file, data, length, offset);
    if (done > 0) {
        note('w', name, (uint64_t)offset, data, (uint64_t)done);
    }
    pthread_mutex_unlock(&order);
    return done;
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    return pwrite64(file, data, length, offset);
}

int ftruncate64(int file, off64_t length) {
    char name[PATH_MAX];
    if (!is_ours(file, name)) {
        return (int)syscall(SYS_ftruncate, file, length);
    }
    pthread_mutex_lock(&order);
    int result = (int)syscall(SYS_ftruncate, file, length);
    if (result == 0) {
        note('t', name, (uint64_t)length, NULL, 0);
    }
    pthread_mutex_unlock(&order);
    return result;
}

int ftruncate(int file, off_t length) {
    return ftruncate64(file, length);
}

int unlink(const char *path) {
    size_t beyond = folder_length + 1;
    if (folder_length == 0 || strncmp(path, folder, folder_length) != 0 || path[folder_length] != '/') {
        return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    }
    pthread_mutex_lock(&order);
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (result == 0) {
        note('u', path + beyond, 0, NULL, 0);
    }
    pthread_mutex_unlock(&order);
    return result;
}

static void wait_at_gate(void) {
    const struct timespec moment = {0, 1000000};
    while (gate[0] != 0 && access(gate, F_OK) == 0) {
        int mark = open(gate_waiting, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (mark >= 0) {
            close(mark);
        }
        nanosleep(&moment, NULL);
    }
}

static int sync_with(long call, int file) {
    char name[PATH_MAX];
    if (!is_ours(file, name)) {
        return (int)syscall(call, file);
    }
    wait_at_gate();
    pthread_mutex_lock(&order);
    /* Where the log stands in for the disk, the real one need not be waited for. */
    int result = log_file < 0 ? (int)syscall(call, file) : 0;
    if (result == 0) {
        note('s', name, 0, NULL, 0);
        if (count != NULL) {
            atomic_fetch_add(count, 1);
        }
    }
    pthread_mutex_unlock(&order);
    return result;
}

int fsync(int file) {
    return sync_with(SYS_fsync, file);
}

int fdatasync(int file) {
    return sync_with(SYS_fdatasync, file);
}
