/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The child's side of the parser. It holds nothing but its socket and the descriptors it was
 * handed, serves one request after the other, and ends when the socket closes. Files are parsed
 * when first asked about; the few used last stay parsed.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/allocator/allocator_identify.h"
#include "runtime/binary/elf_file.h"
#include "runtime/go/go_call_type.h"
#include "runtime/go/go_file.h"
#include "runtime/go/go_lines.h"
#include "runtime/go/go_types.h"
#include "runtime/list.h"
#include "runtime/binary/native_code.h"
#include "runtime/binary/native_lines.h"
#include "runtime/parser_wire.h"

#define MAX_FILES  4096
#define MAX_PARSED 64            /* kept parsed at a time */
#define MAX_BYTES  (64ull << 20) /* more than this is given back, oldest file first */
#define KEPT_BYTES (1u << 20)    /* a larger reply is not kept for the next one */
#define SOCKET_FD  3

struct child_file {
	int fd; /* -1 = not handed over */
	int debug_fds[PARSER_DEBUG_KINDS];
	struct elf_file *elf;
	struct go_file *go;
	int go_error; /* why it is none of Go's, so that this is found out once; 0 = it may be */
	struct native_lines *native;
	uint64_t used; /* turn of the last request */
};

struct child {
	int socket;
	uint64_t turn;
	struct child_file files[MAX_FILES];
	uint8_t *reply;
	size_t reply_bytes, reply_capacity;
};

/* ---- files ---- */

static void file_forget(struct child_file *file)
{
	go_file_close(file->go);
	elf_file_close(file->elf);
	native_lines_close(file->native);
	file->go = NULL;
	file->go_error = 0;
	file->elf = NULL;
	file->native = NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void file_drop(struct child_file *file)
{
	file_forget(file);
	close_fd(&file->fd);
	for (size_t i = 0; i < PARSER_DEBUG_KINDS; i++)
		close_fd(&file->debug_fds[i]);
}

static struct child_file *find_oldest(struct child *child, size_t *ret_parsed)
{
	struct child_file *oldest = NULL;
	size_t i;

	*ret_parsed = 0;
	for (i = 0; i < MAX_FILES; i++) {
		struct child_file *file = &child->files[i];

		if (!file->elf && !file->native)
			continue;
		++*ret_parsed;
		if (!oldest || file->used < oldest->used)
			oldest = file;
	}
	return oldest;
}

static void forget_oldest(struct child *child)
{
	size_t parsed;
	struct child_file *oldest = find_oldest(child, &parsed);

	if (parsed >= MAX_PARSED)
		file_forget(oldest);
}

/* What files cost is known only afterwards: libdw allocates as it goes. */
static uint64_t allocated_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void give_back(struct child *child)
{
	size_t parsed = 1;

	if (allocated_bytes() <= MAX_BYTES)
		return;
	while (parsed && allocated_bytes() > MAX_BYTES / 2) {
		struct child_file *oldest = find_oldest(child, &parsed);

		if (oldest)
			file_forget(oldest);
	}
	malloc_trim(0);
}

static int file_open_elf(struct child *child, struct child_file *file)
{
	file->used = ++child->turn;
	if (file->elf)
		return 0;
	if (file->fd < 0)
		return -ENOENT;
	forget_oldest(child);
	return elf_file_open(file->fd, &file->elf);
}

static int file_open_go(struct child *child, struct child_file *file)
{
	int err = file_open_elf(child, file);

	if (err || file->go)
		return err;
	if (!file->go_error)
		file->go_error = go_file_open(file->elf, &file->go);
	return file->go_error;
}

static void add_debug_files(struct child_file *file)
{
	if (file->debug_fds[PARSER_DEBUG_OWN] >= 0)
		native_lines_add_debug(file->native, file->debug_fds[PARSER_DEBUG_OWN]);
	if (file->debug_fds[PARSER_DEBUG_SHARED] >= 0)
		native_lines_add_shared(file->native, file->debug_fds[PARSER_DEBUG_SHARED]);
}

static int file_open_native(struct child *child, struct child_file *file)
{
	int err;

	file->used = ++child->turn;
	if (file->native)
		return 0;
	if (file->fd < 0)
		return -ENOENT;
	forget_oldest(child);
	err = native_lines_open(file->fd, &file->native);
	if (!err)
		add_debug_files(file);
	return err;
}

/* ---- requests: each leaves its payload in child->reply and returns the status ---- */

/* For those that write all of what they leave there. */
static void *reply_space(struct child *child, size_t bytes)
{
	if (bytes > child->reply_capacity || !child->reply || child->reply_capacity > KEPT_BYTES) {
		free(child->reply);
		child->reply = xcalloc(1, bytes + 1);
		child->reply_capacity = bytes;
	}
	child->reply_bytes = bytes;
	return child->reply;
}

static void *reply_room(struct child *child, size_t bytes)
{
	return memset(reply_space(child, bytes), 0, bytes);
}

static int serve_drop(
	struct child *child, struct child_file *file, const struct parser_request *request)
{
	(void)child;
	(void)request;
	file_drop(file);
	return 0;
}

/* Adds those that are optional, or those that are not, to the count of them. <0 = why the file is broken. */
static int identify(
	struct elf_file *elf, bool optional, int count, struct runtime_file ret[RUNTIME_MAX_A_FILE])
{
	for (size_t i = 0; i < ARRAY_SIZE(runtimes) && count < RUNTIME_MAX_A_FILE; i++) {
		int mine = runtimes[i]->optional == optional
				   ? runtimes[i]->identify(elf, &ret[count])
				   : 0;

		if (mine < 0)
			return mine;
		count += mine;
	}
	return count;
}

/* The first tells of the file: an optional one never is. */
static int serve_identify(
	struct child *child, struct child_file *file, const struct parser_request *request)
{
	struct runtime_file *found;
	int count = file_open_elf(child, file);

	(void)request;
	if (count)
		return count;
	/* Where it has been given its debug file it is asked for the second time. */
	if (file->debug_fds[PARSER_DEBUG_OWN] >= 0 && !file_open_native(child, file))
		elf_file_lend_names(file->elf, native_lines_names(file->native));
	found = reply_room(child, RUNTIME_MAX_A_FILE * sizeof(*found));
	count = identify(file->elf, false, 0, found);
	elf_file_lend_names(file->elf, NULL);
	if (count < 0)
		return count;
	if (!count) {
		found[0] = (struct runtime_file){0};
		native_describe(file->elf, &found[0]);
	}
	count = identify(file->elf, true, MAX(count, 1), found);
	if (count < 0)
		return count;
	allocator_identify(file->elf, &found[0].allocator);
	child->reply_bytes = (size_t)count * sizeof(*found);
	return 0;
}

/* Go's own table has the lines: nothing is to be added, and its DWARF stays unread. */
static void describe_go(const struct child_file *file, struct parser_debug *ret)
{
	ret->has_lines = true;
	text_copy(ret->build_id, sizeof(ret->build_id), elf_file_build_id(file->elf));
}

static int serve_debug(
	struct child *child, struct child_file *file, const struct parser_request *request)
{
	bool go = !file_open_go(child, file);
	int err = go ? 0 : file_open_native(child, file);
	struct parser_debug *reply;

	(void)request;
	if (err)
		return err;
	reply = reply_room(child, sizeof(*reply));
	if (go)
		describe_go(file, reply);
	else
		native_lines_describe(file->native, reply);
	return 0;
}

/* Go's own table knows Go's code without DWARF; the rest of a Go program came through cgo. */
static size_t find_lines(struct child *child, struct child_file *file, uint64_t pc,
	struct parser_frame *ret, size_t max)
{
	size_t count = file->go ? go_lines_find(file->go, pc, ret, max) : 0;

	if (count || file_open_native(child, file))
		return count;
	return native_lines_find(file->native, pc, ret, max);
}

static int serve_lines(
	struct child *child, struct child_file *file, const struct parser_request *request)
{
	size_t max = MIN(request->max, PARSER_MAX_FRAMES), count = 0, i;
	struct parser_frame *frames;
	int err = file_open_go(child, file);

	if (err && err != -ENOENT && err != -ENODATA)
		return err;
	frames = reply_space(child, max * sizeof(*frames));
	for (i = 0; i < MIN(request->number, PARSER_MAX_PCS); i++) {
		size_t found =
			find_lines(child, file, request->pcs[i], frames + count, max - count);

		while (found--)
			frames[count++].pc_index = i;
	}
	child->reply_bytes = count * sizeof(*frames);
	return (int)count;
}

static int serve_rules(
	struct child *child, struct child_file *file, const struct parser_request *request)
{
	size_t count = MIN(request->number, PARSER_MAX_PCS), i;
	int err = file_open_native(child, file);
	struct unwind_rule *rules;

	if (err)
		return err;
	rules = reply_room(child, count * sizeof(*rules));
	for (i = 0; i < count; i++)
		native_lines_find_rule(file->native, request->pcs[i], &rules[i]);
	return 0;
}

static int serve_type(
	struct child *child, struct child_file *file, const struct parser_request *request)
{
	int err = file_open_go(child, file);

	return err ? err
		   : go_type_read(
			     file->go, request->addr, reply_room(child, sizeof(struct go_type)));
}

static int serve_types(
	struct child *child, struct child_file *file, const struct parser_request *request)
{
	size_t max = MIN(request->max, PARSER_REPLY_BYTES / sizeof(struct go_type)), count;
	int err = file_open_go(child, file);

	if (err)
		return err;
	count = go_type_list(
		file->go, request->number, reply_room(child, max * sizeof(struct go_type)), max);
	child->reply_bytes = MIN(count, max) * sizeof(struct go_type);
	return (int)count;
}

static int serve_call_type(
	struct child *child, struct child_file *file, const struct parser_request *request)
{
	int err = file_open_go(child, file);

	return err ? err
		   : go_call_type_find(
			     file->go, request->addr, reply_room(child, sizeof(struct go_type)));
}

static int serve_symbol(
	struct child *child, struct child_file *file, const struct parser_request *request)
{
	struct parser_symbol_reply *reply;
	int err = file_open_elf(child, file);
	const char *name;
	uint64_t offset;

	if (err)
		return err;
	name = elf_file_data_symbol(file->elf, request->addr, &offset);
	if (!name)
		return -ENOENT;
	reply = reply_room(child, sizeof(*reply));
	reply->offset = offset;
	text_copy(reply->name, sizeof(reply->name), name);
	return 0;
}

static int serve_field(
	struct child *child, struct child_file *file, const struct parser_request *request)
{
	struct parser_field_reply *reply;
	int err = file_open_go(child, file);

	if (err)
		return err;
	reply = reply_room(child, sizeof(*reply));
	return go_type_field(file->go, request->addr, request->number, reply->name,
		sizeof(reply->name), &reply->type);
}

static int (*const serve[PARSER_OP_MAX])(
	struct child *child, struct child_file *file, const struct parser_request *request) = {
	[PARSER_OP_DROP] = serve_drop,
	[PARSER_OP_DEBUG] = serve_debug,
	[PARSER_OP_IDENTIFY] = serve_identify,
	[PARSER_OP_LINES] = serve_lines,
	[PARSER_OP_RULES] = serve_rules,
	[PARSER_OP_TYPE] = serve_type,
	[PARSER_OP_TYPES] = serve_types,
	[PARSER_OP_CALL_TYPE] = serve_call_type,
	[PARSER_OP_SYMBOL] = serve_symbol,
	[PARSER_OP_FIELD] = serve_field,
};

/* ---- socket ---- */

static int receive(int socket, struct parser_request *ret, int *ret_fd)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {ret, sizeof(*ret)};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	ssize_t n;

	do {
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(*ret))
		return -EPIPE;
	header = CMSG_FIRSTHDR(&message);
	*ret_fd = -1;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(header), sizeof(int));
	return 0;
}

static int send_reply(const struct child *child, int status, size_t total)
{
	size_t sent = 0;

	do {
		struct parser_reply packet; /* its payload stays where it is */
		struct iovec parts[] = {
			{&packet, PARSER_REPLY_HEAD},
			{child->reply + sent, MIN(total - sent, PARSER_PACKET_BYTES)},
		};
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = total ? 2 : 1};

		packet.status = status;
		packet.bytes = total ? parts[1].iov_len : 0;
		packet.left = total - sent - packet.bytes;
		if (sendmsg(child->socket, &message, MSG_NOSIGNAL) < 0)
			return -errno;
		sent += packet.bytes;
	} while (sent < total);
	return 0;
}

/* The file is checked when it is first needed: here, so that a wrong one is refused at once. */
static int take_debug(struct child *child, struct child_file *file, uint64_t kind, int fd)
{
	int err;

	if (fd < 0 || kind >= PARSER_DEBUG_KINDS || file->debug_fds[kind] >= 0)
		return -EINVAL;
	err = file_open_native(child, file);
	if (!err)
		err = kind == PARSER_DEBUG_OWN ? native_lines_add_debug(file->native, fd)
					       : native_lines_add_shared(file->native, fd);
	if (!err)
		file->debug_fds[kind] = fd;
	return err;
}

static int answer(struct child *child, const struct parser_request *request, int fd)
{
	struct child_file *file;
	int status;

	if (request->op >= PARSER_OP_MAX || request->file >= MAX_FILES)
		return -EINVAL;
	file = &child->files[request->file];
	if (request->op == PARSER_OP_TAKE) {
		file_drop(file);
		file->fd = fd;
		return fd < 0 ? -EBADF : 0;
	}
	if (request->op == PARSER_OP_TAKE_DEBUG) {
		status = take_debug(child, file, request->number, fd);
		if (status && fd >= 0)
			close(fd);
		return status;
	}
	return serve[request->op](child, file, request);
}

/* ---- life ---- */

static void keep_only(int socket)
{
	int null;

	if (socket != SOCKET_FD)
		dup2(socket, SOCKET_FD);
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	close_range(SOCKET_FD + 1, ~0u, 0);
}

/* Ctrl-C goes to the whole process group; our end is the end of the socket. */
static void set_signals(void)
{
	static const int ignored[] = {SIGINT, SIGHUP, SIGTERM, SIGQUIT, SIGPIPE, SIGTSTP};
	sigset_t none;
	size_t i;
	int number;

	for (number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	for (i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Gives up what parsing does not need. The one place for it: runs before the first request. */
static void confine(void)
{
	const struct rlimit zero = {0, 0};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &zero);
	setrlimit(RLIMIT_FSIZE, &zero);
}

void parser_child_run(int socket, int parent_pid)
{
	struct parser_request request;
	struct child *child;
	int fd, status;
	size_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent_pid)
		_exit(1);
	set_signals();
	keep_only(socket);
	confine();
	child = xcalloc(1, sizeof(*child));
	child->socket = SOCKET_FD;
	for (i = 0; i < MAX_FILES; i++)
		child->files[i] = (struct child_file){.fd = -1, .debug_fds = {-1, -1}};
	while (!receive(child->socket, &request, &fd)) {
		child->reply_bytes = 0;
		status = answer(child, &request, fd);
		give_back(child);
		if (send_reply(child, status, status < 0 ? 0 : child->reply_bytes))
			break;
	}
	_exit(0);
}
