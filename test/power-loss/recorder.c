/*
 * A layer under a process (LD_PRELOAD) that writes down, in one journal, whatever the process and its children change
 * on the disk under one folder, and what they sync. From any prefix of the journal, disk.ts builds what a power loss at
 * that moment may leave.
 *
 *   POWER_LOSS_ROOT     the folder that is watched, without links in its path
 *   POWER_LOSS_JOURNAL  the journal, outside of it
 *   POWER_LOSS_NOTES    a file, outside of it: what is written there becomes a note in the journal, at its place
 *   POWER_LOSS_BOOT_ID  a file that stands for the system's own: whoever looks at the disk later has another boot
 *   POWER_LOSS_DROP     syncs that lie, for the tests of the tests: "files", "folders" or "files,folders"
 *
 * A change and its record are made under one lock of all threads and processes, so the journal's order is the order in
 * which things happened. A sync is two records, since it only promises what came before its beginning, and only once
 * it has ended. The disk itself is not asked to sync (that would only take time): a short wait stands for it.
 *
 * What is not modelled ends the process with a message (refuse), or is answered "not supported" where every caller has
 * another way (io_uring, copy_file_range, sendfile, reflinks, fallocate).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE = 1, SIZE, ENTER, LEAVE, MOVE, SYNC_BEGIN, SYNC_END, NOTE, REFUSED };

/* As journal.ts reads it; little-endian. `length` counts the bytes after the header: name, then data. */
struct record {
  uint32_t length;
  uint16_t kind;
  uint16_t name_length;
  uint64_t a, b, c;
};

static char root[PATH_MAX], notes[PATH_MAX];
static size_t root_length;
static dev_t root_device;
static int journal = -1;
static int drops_files, drops_folders;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name, &real_##name))
#define DECLARE(name) static void *real_##name
static void *real(const char *name, void **known) {
  if (!*known) *known = dlsym(RTLD_NEXT, name);
  return *known;
}
DECLARE(open64); DECLARE(openat64); DECLARE(fopen64); DECLARE(write); DECLARE(writev); DECLARE(pwritev64);
DECLARE(ftruncate64); DECLARE(renameat2); DECLARE(unlinkat); DECLARE(mkdirat); DECLARE(linkat); DECLARE(symlinkat);
DECLARE(mkdtemp); DECLARE(mkstemp64); DECLARE(fsync); DECLARE(mmap64); DECLARE(ioctl); DECLARE(syscall); DECLARE(kill);

__attribute__((constructor)) static void start(void) {
  const char *folder = getenv("POWER_LOSS_ROOT"), *path = getenv("POWER_LOSS_JOURNAL");
  const char *noted = getenv("POWER_LOSS_NOTES"), *drop = getenv("POWER_LOSS_DROP");
  struct stat found;
  if (!folder || !path || stat(folder, &found) != 0) return;
  snprintf(root, sizeof root, "%s", folder);
  snprintf(notes, sizeof notes, "%s", noted ? noted : "");
  root_length = strlen(root);
  root_device = found.st_dev;
  drops_files = drop && strstr(drop, "files");
  drops_folders = drop && strstr(drop, "folders");
  journal = REAL(open64)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (journal < 0) abort();
}

/* Of this process's threads, then of all processes. No signal ends the process between a change and its record. */
static __thread sigset_t signals_before;
static void lock(void) {
  struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  sigset_t every;
  sigfillset(&every);
  pthread_sigmask(SIG_BLOCK, &every, &signals_before);
  pthread_mutex_lock(&mutex);
  while (fcntl(journal, F_OFD_SETLKW, &all) != 0)
    if (errno != EINTR) abort();
}

static void unlock(void) {
  struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
  int kept = errno;
  fcntl(journal, F_OFD_SETLK, &all);
  pthread_mutex_unlock(&mutex);
  pthread_sigmask(SIG_SETMASK, &signals_before, 0);
  errno = kept;
}

static void record(enum kind kind, uint64_t a, uint64_t b, uint64_t c, const char *name, const void *data,
                   size_t data_length) {
  size_t name_length = name ? strlen(name) : 0;
  struct record head = {name_length + data_length, kind, name_length, a, b, c};
  struct iovec parts[] = {{&head, sizeof head}, {(void *)name, name_length}, {(void *)data, data_length}};
  int kept = errno;
  if (REAL(writev)(journal, parts, 3) != (ssize_t)(sizeof head + name_length + data_length)) abort();
  errno = kept;
}

static void refuse(const char *what, const char *path) {
  fprintf(stderr, "power-loss recorder: %s on %s is not modelled: teach recorder.c and disk.ts\n", what, path);
  record(REFUSED, 0, 0, 0, what, path, strlen(path));
  abort();
}

static int is_watched(const char *path) {
  return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

/* Whether the file or folder is one that is watched (1), the notes (2) or another (0); then `path` is its path. */
static int watched_at(int fd, struct stat *found, char path[PATH_MAX]) {
  char link[40];
  if (journal < 0 || fstat(fd, found) != 0) return 0;
  if (!S_ISREG(found->st_mode) && !S_ISDIR(found->st_mode)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (strcmp(path, notes) == 0) return 2;
  return found->st_dev == root_device && is_watched(path);
}

static int watched(int fd, struct stat *found) {
  char path[PATH_MAX];
  return watched_at(fd, found, path);
}

struct place {
  uint64_t folder; /* its inode */
  char name[NAME_MAX + 1];
};

/*
 * Whether the path is one that is watched (1) or not (0), and where its last name stands; -1, with errno, when its
 * folder cannot be reached, and so the call that it is for would fail.
 */
static int locate(int dirfd, const char *path, struct place *place) {
  char parent[PATH_MAX], resolved[PATH_MAX], text[PATH_MAX];
  struct stat folder;
  if (journal < 0 || !path || !*path) return 0;
  if (dirfd == AT_FDCWD || *path == '/') snprintf(text, sizeof text, "%s", path);
  else snprintf(text, sizeof text, "/proc/self/fd/%d/%s", dirfd, path);
  size_t length = strlen(text);
  while (length > 1 && text[length - 1] == '/') text[--length] = 0;
  const char *slash = strrchr(text, '/');
  const char *name = slash ? slash + 1 : text;
  snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - text) : 1, slash ? text : ".");
  if (slash == text) strcpy(parent, "/");
  int kept = errno;
  if (!realpath(parent, resolved)) return -1;
  errno = kept;
  if (!is_watched(resolved) || strlen(name) > NAME_MAX) return 0;
  if (stat(resolved, &folder) != 0) return -1;
  place->folder = folder.st_ino;
  strcpy(place->name, name);
  return 1;
}

/* The same under the lock, which is kept where the path is watched: no other thread makes or moves its folder now. */
static int locate_locked(int dirfd, const char *path, struct place *place) {
  if (journal < 0) return 0;
  lock();
  int found = locate(dirfd, path, place);
  if (found != 1) unlock();
  return found;
}

/* ---- files: opened, written, cut ---- */

static int open_watched(int dirfd, const char *path, int flags, mode_t mode) {
  struct place place;
  struct stat before, after;
  int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
  const char *boot = getenv("POWER_LOSS_BOOT_ID");
  if (boot && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) path = boot;
  int where = writes ? locate_locked(dirfd, path, &place) : 0;
  if (where < 0) return -1;
  if (where == 0) return REAL(openat64)(dirfd, path, flags, mode);
  if ((flags & O_TMPFILE) == O_TMPFILE || (flags & (O_DSYNC | O_DIRECT))) refuse("open with these flags", path);
  int existed = fstatat(dirfd, path, &before, 0) == 0;
  int fd = REAL(openat64)(dirfd, path, flags, mode);
  if (fd >= 0 && fstat(fd, &after) == 0) {
    if (!existed) record(ENTER, place.folder, after.st_ino, 'f', place.name, 0, 0);
    else if ((flags & O_TRUNC) && before.st_size > 0) record(SIZE, after.st_ino, 0, 0, 0, 0, 0);
  }
  unlock();
  return fd;
}

#define MODE_OF(flags, mode) \
  mode_t mode = 0; \
  if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  }

int open(const char *path, int flags, ...) { MODE_OF(flags, mode) return open_watched(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_OF(flags, mode) return open_watched(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_watched(dir, path, flags, mode);
}
int openat64(int dir, const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_watched(dir, path, flags, mode);
}
int creat(const char *path, mode_t mode) { return open_watched(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

FILE *fopen64(const char *path, const char *mode) {
  struct place place;
  if (strpbrk(mode, "wa+") && locate(AT_FDCWD, path, &place) == 1) refuse("fopen", path);
  return REAL(fopen64)(path, mode);
}
FILE *fopen(const char *path, const char *mode) { return fopen64(path, mode); }

/* Every kind of write ends here; `at` is -1 for the file's own position. */
static ssize_t write_watched(int fd, const struct iovec *parts, int count, off_t at) {
  struct stat file;
  int what = watched(fd, &file);
  if (what == 0 || !S_ISREG(file.st_mode)) {
    if (at >= 0) return REAL(pwritev64)(fd, parts, count, at);
    return REAL(writev)(fd, parts, count);
  }
  lock();
  fstat(fd, &file);
  off_t offset = at;
  if (fcntl(fd, F_GETFL) & O_APPEND) offset = file.st_size;
  else if (at < 0) offset = lseek(fd, 0, SEEK_CUR);
  ssize_t written = at >= 0 ? REAL(pwritev64)(fd, parts, count, at) : REAL(writev)(fd, parts, count);
  size_t left = written > 0 ? written : 0;
  for (int i = 0; i < count && left > 0; i++) {
    size_t length = parts[i].iov_len < left ? parts[i].iov_len : left;
    record(what == 2 ? NOTE : WRITE, file.st_ino, offset, 0, 0, parts[i].iov_base, length);
    offset += length;
    left -= length;
  }
  unlock();
  return written;
}

ssize_t write(int fd, const void *data, size_t length) {
  struct iovec part = {(void *)data, length};
  struct stat file;
  if (watched(fd, &file) == 0) return REAL(write)(fd, data, length);
  return write_watched(fd, &part, 1, -1);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) {
  struct iovec part = {(void *)data, length};
  return write_watched(fd, &part, 1, at);
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return pwrite64(fd, data, length, at); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return write_watched(fd, parts, count, -1); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return write_watched(fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  return write_watched(fd, parts, count, at);
}

int ftruncate64(int fd, off64_t size) {
  struct stat file;
  if (watched(fd, &file) != 1) return REAL(ftruncate64)(fd, size);
  lock();
  int result = REAL(ftruncate64)(fd, size);
  if (result == 0) record(SIZE, file.st_ino, size, 0, 0, 0, 0);
  unlock();
  return result;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int truncate64(const char *path, off64_t size) {
  int fd = open_watched(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
  if (fd < 0) return -1;
  int result = ftruncate64(fd, size);
  close(fd);
  return result;
}
int truncate(const char *path, off_t size) { return truncate64(path, size); }

/* ---- names ---- */

static int enter(int result, int dirfd, const char *path, const struct place *place, char type, const char *target) {
  struct stat made;
  if (result == 0 && fstatat(dirfd, path, &made, AT_SYMLINK_NOFOLLOW) == 0)
    record(ENTER, place->folder, made.st_ino, type, place->name, target, target ? strlen(target) : 0);
  unlock();
  return result;
}

int mkdirat(int dir, const char *path, mode_t mode) {
  struct place place;
  int where = locate_locked(dir, path, &place);
  if (where < 0) return -1;
  if (where == 0) return REAL(mkdirat)(dir, path, mode);
  return enter(REAL(mkdirat)(dir, path, mode), dir, path, &place, 'd', 0);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

char *mkdtemp(char *template) {
  struct place place;
  if (locate(AT_FDCWD, template, &place) == 1) refuse("mkdtemp", template);
  return REAL(mkdtemp)(template);
}
int mkstemp64(char *template) {
  struct place place;
  if (locate(AT_FDCWD, template, &place) == 1) refuse("mkstemp", template);
  return REAL(mkstemp64)(template);
}
int mkstemp(char *template) { return mkstemp64(template); }

int linkat(int fromdir, const char *from, int todir, const char *to, int flags) {
  struct place place, source;
  int where = locate_locked(todir, to, &place);
  if (where < 0) return -1;
  if (where == 0) return REAL(linkat)(fromdir, from, todir, to, flags);
  if (locate(fromdir, from, &source) != 1) {
    int result = REAL(linkat)(fromdir, from, todir, to, flags);
    if (result == 0) refuse("a link from outside", to);
    unlock();
    return result;
  }
  return enter(REAL(linkat)(fromdir, from, todir, to, flags), todir, to, &place, 'h', 0);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int symlinkat(const char *target, int dir, const char *path) {
  struct place place;
  int where = locate_locked(dir, path, &place);
  if (where < 0) return -1;
  if (where == 0) return REAL(symlinkat)(target, dir, path);
  return enter(REAL(symlinkat)(target, dir, path), dir, path, &place, 'l', target);
}
int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

int unlinkat(int dir, const char *path, int flags) {
  struct place place;
  int where = locate_locked(dir, path, &place);
  if (where < 0) return -1;
  if (where == 0) return REAL(unlinkat)(dir, path, flags);
  int result = REAL(unlinkat)(dir, path, flags);
  if (result == 0) record(LEAVE, place.folder, 0, 0, place.name, 0, 0);
  unlock();
  return result;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
  struct stat found;
  if (lstat(path, &found) != 0) return -1;
  return unlinkat(AT_FDCWD, path, S_ISDIR(found.st_mode) ? AT_REMOVEDIR : 0);
}

int renameat2(int fromdir, const char *from, int todir, const char *to, unsigned flags) {
  struct place source, place;
  struct stat moved, replaced;
  if (journal < 0) return REAL(renameat2)(fromdir, from, todir, to, flags);
  lock();
  int leaves = locate(fromdir, from, &source), comes = locate(todir, to, &place);
  if (leaves != 1 || comes != 1 || (flags & ~RENAME_NOREPLACE)) {
    int result = leaves < 0 || comes < 0 ? -1 : REAL(renameat2)(fromdir, from, todir, to, flags);
    if (result == 0 && (leaves || comes)) refuse("a rename out of the folder, into it, or with flags", to);
    unlock();
    return result;
  }
  /* POSIX: between two names of one file, nothing is done. */
  int is_same = fstatat(fromdir, from, &moved, AT_SYMLINK_NOFOLLOW) == 0 &&
                fstatat(todir, to, &replaced, AT_SYMLINK_NOFOLLOW) == 0 && moved.st_ino == replaced.st_ino;
  int result = REAL(renameat2)(fromdir, from, todir, to, flags);
  if (result == 0 && !is_same)
    record(MOVE, source.folder, place.folder, 0, source.name, place.name, strlen(place.name));
  unlock();
  return result;
}
int renameat(int fromdir, const char *from, int todir, const char *to) {
  return renameat2(fromdir, from, todir, to, 0);
}
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

/* ---- syncs; inode 0 stands for the whole disk ---- */

static int sync_watched(uint64_t inode) {
  static uint64_t last;
  uint64_t token = ((uint64_t)getpid() << 32) | __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
  lock();
  record(SYNC_BEGIN, inode, token, 0, 0, 0, 0);
  unlock();
  /* Mostly short, one in eight long: whoever does not wait for another's sync gets ahead of it. */
  uint32_t mixed = (uint32_t)token * 2654435761u;
  usleep(200 + mixed % 1000 + ((mixed >> 16) % 8 == 0 ? 8000 : 0));
  lock();
  record(SYNC_END, inode, token, 0, 0, 0, 0);
  unlock();
  return 0;
}

int fsync(int fd) {
  struct stat file;
  if (watched(fd, &file) != 1) return REAL(fsync)(fd);
  if (S_ISDIR(file.st_mode) ? drops_folders : drops_files) return 0;
  return sync_watched(file.st_ino);
}
int fdatasync(int fd) { return fsync(fd); }
void sync(void) {
  if (journal >= 0 && !drops_files) sync_watched(0);
}
int syncfs(int fd) {
  (void)fd;
  sync();
  return 0;
}

/* ---- an end: of the process with all its threads, none of them between a change and its record ---- */

int kill(pid_t pid, int signal) {
  if (journal >= 0 && pid == getpid() && signal == SIGKILL) lock();
  return REAL(kill)(pid, signal);
}

/* ---- refused, or answered "not supported" ---- */

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
  struct stat file;
  char path[PATH_MAX];
  int writes = (protection & PROT_WRITE) && (flags & MAP_TYPE) != MAP_PRIVATE && fd >= 0;
  /* SQLite's index of its log is made anew by whoever comes first: nothing in it need last. */
  if (writes && watched_at(fd, &file, path) == 1 && !strstr(path, "-shm"))
    refuse("writing through mmap", path);
  return REAL(mmap64)(address, length, protection, flags, fd, offset);
}
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  return mmap64(address, length, protection, flags, fd, offset);
}

static int unsupported(int error) {
  errno = error;
  return -1;
}
int fallocate(int fd, int mode, off_t at, off_t length) {
  (void)fd, (void)mode, (void)at, (void)length;
  return unsupported(EOPNOTSUPP);
}
int fallocate64(int fd, int mode, off64_t at, off64_t length) { return fallocate(fd, mode, at, length); }
int posix_fallocate(int fd, off_t at, off_t length) {
  (void)fd, (void)at, (void)length;
  return EINVAL;
}
int posix_fallocate64(int fd, off64_t at, off64_t length) { return posix_fallocate(fd, at, length); }
ssize_t sendfile(int out, int in, off_t *at, size_t length) {
  (void)out, (void)in, (void)at, (void)length;
  return unsupported(EINVAL);
}
ssize_t sendfile64(int out, int in, off64_t *at, size_t length) { return sendfile(out, in, at, length); }
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t length, unsigned flags) {
  (void)in, (void)from, (void)out, (void)to, (void)length, (void)flags;
  return unsupported(EXDEV);
}
int ioctl(int fd, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  if (journal >= 0 && (request & 0xffff) == 0x9409) return unsupported(EOPNOTSUPP); /* FICLONE */
  return REAL(ioctl)(fd, request, argument);
}
/* libuv and V8 make some calls by number. */
long syscall(long number, ...) {
  va_list rest;
  va_start(rest, number);
  long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long);
  long d = va_arg(rest, long), e = va_arg(rest, long), f = va_arg(rest, long);
  va_end(rest);
  if (journal >= 0) {
    switch (number) {
      case SYS_io_uring_setup: return unsupported(ENOSYS);
      case SYS_copy_file_range: return unsupported(EXDEV);
      case SYS_renameat2: return renameat2(a, (const char *)b, c, (const char *)d, e);
      case SYS_write: return write(a, (const void *)b, c);
      case SYS_openat: case SYS_pwrite64: case SYS_fsync: case SYS_fdatasync: case SYS_unlinkat: case SYS_ftruncate:
        refuse("a system call by number", "a file");
    }
  }
  return ((long (*)(long, ...))real("syscall", &real_syscall))(number, a, b, c, d, e, f);
}
