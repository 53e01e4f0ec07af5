/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tracer's side of the parser: hands files over, asks, waits, and starts the child again when
 * it died or takes too long. Replies are hostile: a file may have taken the child over, so their
 * sizes and texts are checked here.
 */
#include "runtime/parser.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "runtime/parser_wire.h"

#define TIMEOUT_NS  (5 * NSEC_PER_SEC)
#define MAX_FILES   4096
#define MAX_STRIKES 2

/* Identity of a file's contents: one file is parsed once, however many processes run it. */
struct file_key {
	dev_t device;
	ino_t inode;
	off_t bytes;
	struct timespec modified, changed;
};

struct parser_file {
	struct file_key key;
	int fd; /* our duplicate, to hand over again; -1 = not needed any more */
	int debug_fds[PARSER_DEBUG_KINDS]; /* of its debug files; -1 = none */
	bool handed;
	int strikes;                   /* children it cost */
	int error;                     /* of identify */
	struct runtime_file *runtimes; /* where error is 0: at least one */
	size_t runtime_count;
};

struct parser {
	pid_t pid; /* 0 = no child */
	int socket;
	uint64_t timeout_ns;
	struct parser_file **files;
	size_t file_count, file_capacity, reuse_next;
	struct parser_reply packet;
};

/* ---- child ---- */

static int start_child(struct parser *parser)
{
	pid_t parent = getpid(), pid;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (!pid)
		parser_child_run(pair[1], parent);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -EAGAIN;
	}
	parser->pid = pid;
	parser->socket = pair[0];
	return 0;
}

static void stop_child(struct parser *parser)
{
	size_t i;

	if (!parser->pid)
		return;
	close(parser->socket);
	kill(parser->pid, SIGKILL);
	while (waitpid(parser->pid, NULL, 0) < 0 && errno == EINTR)
		;
	parser->pid = 0;
	for (i = 0; i < parser->file_count; i++)
		parser->files[i]->handed = false;
}

/* ---- one exchange; any error means that the child is of no use any more ---- */

static int send_request(struct parser *parser, const struct parser_request *request, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)request, sizeof(*request)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *header;

		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(int));
	}
	return sendmsg(parser->socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int wait_readable(struct parser *parser, uint64_t deadline_ns)
{
	struct pollfd pollfd = {.fd = parser->socket, .events = POLLIN};

	for (;;) {
		uint64_t now = clock_mono_ns();
		int n;

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		n = poll(&pollfd, 1, (int)((deadline_ns - now) / NSEC_PER_MSEC) + 1);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int receive_packet(struct parser *parser, uint64_t deadline_ns)
{
	struct parser_reply *packet = &parser->packet;
	ssize_t n;
	int err = wait_readable(parser, deadline_ns);

	if (err)
		return err;
	n = recv(parser->socket, packet, sizeof(*packet), 0);
	if (n < (ssize_t)PARSER_REPLY_HEAD || packet->bytes != n - PARSER_REPLY_HEAD)
		return -EPIPE;
	return 0;
}

/* Collects up to max bytes of payload into buf; the rest is dropped. */
static int exchange(struct parser *parser, const struct parser_request *request, int fd, void *buf,
	size_t max, size_t *ret_bytes, int *ret_status)
{
	uint64_t deadline_ns = clock_mono_ns() + parser->timeout_ns;
	size_t total = 0;
	int err = send_request(parser, request, fd);

	while (!err) {
		const struct parser_reply *packet = &parser->packet;

		err = receive_packet(parser, deadline_ns);
		if (err)
			break;
		if (packet->bytes + total > PARSER_REPLY_BYTES)
			return -EPROTO;
		if (total < max)
			memcpy((char *)buf + total, packet->payload,
				MIN(packet->bytes, max - total));
		total += packet->bytes;
		if (packet->left)
			continue;
		*ret_bytes = MIN(total, max);
		*ret_status = packet->status;
		return 0;
	}
	return err;
}

/* ---- requests ---- */

static void close_copy(struct parser_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	for (size_t i = 0; i < PARSER_DEBUG_KINDS; i++) {
		if (file->debug_fds[i] >= 0)
			close(file->debug_fds[i]);
		file->debug_fds[i] = -1;
	}
}

static struct parser_file *find_file(struct parser *parser, uint32_t id)
{
	return id < parser->file_count ? parser->files[id] : NULL;
}

static int hand_over_fd(struct parser *parser, const struct parser_request *request, int fd)
{
	size_t bytes;
	int status, err = exchange(parser, request, fd, NULL, 0, &bytes, &status);

	return err ? err : status;
}

static int hand_over(struct parser *parser, uint32_t id, struct parser_file *file)
{
	struct parser_request request = {.op = PARSER_OP_TAKE, .file = id};
	int err;

	if (file->handed)
		return 0;
	err = hand_over_fd(parser, &request, file->fd);
	request.op = PARSER_OP_TAKE_DEBUG;
	for (size_t i = 0; !err && i < PARSER_DEBUG_KINDS; i++) {
		request.number = i;
		if (file->debug_fds[i] >= 0)
			err = hand_over_fd(parser, &request, file->debug_fds[i]);
	}
	file->handed = !err;
	return err;
}

/* fd goes along with the request, -1 = none. */
static int try_request(struct parser *parser, struct parser_file *file,
	const struct parser_request *request, int fd, void *buf, size_t max, size_t *ret_bytes,
	int *ret_status)
{
	int err = parser->pid ? 0 : start_child(parser);

	if (!err)
		err = hand_over(parser, request->file, file);
	if (!err)
		err = exchange(parser, request, fd, buf, max, ret_bytes, ret_status);
	if (err)
		stop_child(parser);
	return err;
}

/* Returns the status of the reply: >= 0, or -errno. */
static int ask_with(struct parser *parser, const struct parser_request *request, int fd, void *buf,
	size_t max, size_t *ret_bytes)
{
	struct parser_file *file = find_file(parser, request->file);
	int status;

	if (!file || (file->fd < 0 && file->strikes < MAX_STRIKES))
		return -ENOENT;
	while (file->strikes < MAX_STRIKES) {
		if (!try_request(parser, file, request, fd, buf, max, ret_bytes, &status))
			return status;
		file->strikes++;
	}
	close_copy(file);
	return -EBADMSG;
}

static int ask(struct parser *parser, const struct parser_request *request, void *buf, size_t max,
	size_t *ret_bytes)
{
	return ask_with(parser, request, -1, buf, max, ret_bytes);
}

/* A reply that is exactly one struct. */
static int ask_one(
	struct parser *parser, const struct parser_request *request, void *ret, size_t bytes)
{
	size_t got;
	int status = ask(parser, request, ret, bytes, &got);

	if (status < 0)
		return status;
	return got == bytes ? 0 : -EBADMSG;
}

/* ---- files ---- */

static int read_key(int fd, struct file_key *ret)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*ret = (struct file_key){st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim};
	return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Of a file that is in use all the while: its last change is also that it was renamed, or deleted. */
static bool same_contents(const struct file_key *a, const struct file_key *b)
{
	return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
	       same_time(&a->modified, &b->modified);
}

static bool same_key(const struct file_key *a, const struct file_key *b)
{
	return same_contents(a, b) && same_time(&a->changed, &b->changed);
}

static struct parser_file *append_file(struct parser *parser, uint32_t *ret_id)
{
	struct parser_file *file = xcalloc(1, sizeof(*file));

	array_reserve(parser->files, parser->file_count, parser->file_capacity);
	*ret_id = parser->file_count;
	parser->files[parser->file_count++] = file;
	return file;
}

/*
 * A long run in a busy system meets many files; those of no known runtime have given their place
 * up.
 */
static struct parser_file *reuse_file(struct parser *parser, uint32_t *ret_id)
{
	size_t i;

	for (i = 0; i < parser->file_count; i++) {
		struct parser_file *file = parser->files[parser->reuse_next];

		*ret_id = parser->reuse_next;
		parser->reuse_next = (parser->reuse_next + 1) % parser->file_count;
		if (file->fd >= 0)
			continue;
		free(file->runtimes);
		*file = (struct parser_file){.debug_fds = {-1, -1}};
		return file;
	}
	return NULL;
}

static int add_file(struct parser *parser, int fd, const struct file_key *key, uint32_t *ret_id)
{
	struct parser_file *file;
	int copy;

	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	file = parser->file_count < MAX_FILES ? append_file(parser, ret_id)
					      : reuse_file(parser, ret_id);
	if (!file) {
		close(copy);
		return -EMFILE;
	}
	file->fd = copy;
	file->debug_fds[PARSER_DEBUG_OWN] = file->debug_fds[PARSER_DEBUG_SHARED] = -1;
	file->key = *key;
	return 0;
}

/* Nobody will ask about this file again: both sides let go of the descriptor. */
static void drop_file(struct parser *parser, uint32_t id, struct parser_file *file)
{
	struct parser_request request = {.op = PARSER_OP_DROP, .file = id};

	if (file->strikes < MAX_STRIKES)
		ask_one(parser, &request, NULL, 0);
	close_copy(file);
}

#define TERMINATE(text) ((text)[sizeof(text) - 1] = 0)

static int check_facts(struct runtime_file *facts)
{
	size_t i;

	if (facts->probe_count > RUNTIME_MAX_PROBES || facts->skip_count > RUNTIME_MAX_SKIPS)
		return -EBADMSG;
	TERMINATE(facts->runtime);
	TERMINATE(facts->version);
	TERMINATE(facts->build_id);
	TERMINATE(facts->allocator.name);
	TERMINATE(facts->allocator.version);
	TERMINATE(facts->allocator.prefix);
	for (i = 0; i < facts->probe_count; i++) {
		if (facts->probes[i].code_bytes > RUNTIME_CODE_BYTES)
			return -EBADMSG;
		TERMINATE(facts->probes[i].symbol);
		TERMINATE(facts->probes[i].type);
	}
	for (i = 0; i < facts->skip_count; i++) {
		TERMINATE(facts->skips[i].what);
		TERMINATE(facts->skips[i].reason);
	}
	return 0;
}

static int ask_runtimes(struct parser *parser, uint32_t id, struct parser_file *file)
{
	struct parser_request request = {.op = PARSER_OP_IDENTIFY, .file = id};
	size_t bytes, one = sizeof(*file->runtimes);
	struct runtime_file *found = xcalloc(RUNTIME_MAX_A_FILE, one);
	int err = ask(parser, &request, found, RUNTIME_MAX_A_FILE * one, &bytes);

	if (err >= 0)
		err = bytes && bytes % one == 0 ? 0 : -EBADMSG;
	for (size_t i = 0; !err && i < bytes / one; i++)
		err = check_facts(&found[i]);
	if (err) {
		free(found);
		return err;
	}
	file->runtimes = found;
	file->runtime_count = bytes / one;
	return 0;
}

static void identify_file(struct parser *parser, uint32_t id, struct parser_file *file)
{
	file->error = ask_runtimes(parser, id, file);
	if (file->error || !file->runtimes[0].runtime[0])
		drop_file(parser, id, file);
}

int parser_identify(struct parser *parser, int fd, uint32_t *ret_id, struct runtime_file *ret)
{
	struct file_key key = {0};
	uint32_t id;
	int err;

	err = read_key(fd, &key);
	if (err)
		return err;
	for (id = 0; id < parser->file_count; id++)
		if (same_key(&parser->files[id]->key, &key))
			break;
	if (id == parser->file_count) {
		err = add_file(parser, fd, &key, &id);
		if (err)
			return err;
		identify_file(parser, id, parser->files[id]);
	}
	if (parser->files[id]->error)
		return parser->files[id]->error;
	*ret_id = id;
	*ret = parser->files[id]->runtimes[0];
	return 0;
}

int parser_runtime(const struct parser *parser, uint32_t id, size_t i, struct runtime_file *ret)
{
	const struct parser_file *file = id < parser->file_count ? parser->files[id] : NULL;

	if (!file || i >= file->runtime_count)
		return -ENOENT;
	*ret = file->runtimes[i];
	return 0;
}

/* ---- debug information ---- */

static int ask_debug(struct parser *parser, uint32_t id, struct parser_debug *ret)
{
	struct parser_request request = {.op = PARSER_OP_DEBUG, .file = id};
	struct parser_debug reply;
	int err = ask_one(parser, &request, &reply, sizeof(reply));

	if (err)
		return err;
	TERMINATE(reply.build_id);
	TERMINATE(reply.note);
	TERMINATE(reply.link);
	TERMINATE(reply.shared_link);
	TERMINATE(reply.shared_build_id);
	*ret = reply;
	return 0;
}

int parser_keep(struct parser *parser, uint32_t id, int fd, struct parser_debug *ret)
{
	struct parser_file *file = find_file(parser, id);
	struct file_key key = {};

	if (!file || read_key(fd, &key) || !same_contents(&file->key, &key))
		return -ENOENT;
	if (file->strikes >= MAX_STRIKES)
		return -EBADMSG;
	if (file->fd < 0) {
		file->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		file->handed = false;
	}
	return file->fd < 0 ? -EMFILE : ask_debug(parser, id, ret);
}

static bool wants_names(const struct parser_file *file)
{
	for (size_t i = 0; i < file->runtime_count; i++)
		if (file->runtimes[i].wants_names)
			return true;
	return false;
}

/* What was known stays known where it fails. */
static void identify_again(struct parser *parser, uint32_t id, struct parser_file *file)
{
	struct runtime_file *before = file->runtimes;

	if (ask_runtimes(parser, id, file) == 0)
		free(before);
}

int parser_add_debug(struct parser *parser, uint32_t id, enum parser_debug_kind kind, int fd,
	struct parser_debug *ret)
{
	struct parser_request request = {.op = PARSER_OP_TAKE_DEBUG, .file = id, .number = kind};
	struct parser_file *file = find_file(parser, id);
	size_t bytes;
	int copy, err;

	if (!file || file->fd < 0)
		return -ENOENT;
	if (file->debug_fds[kind] >= 0)
		return -EEXIST;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -EMFILE;
	err = ask_with(parser, &request, copy, NULL, 0, &bytes);
	if (err) {
		close(copy);
		return err;
	}
	file->debug_fds[kind] = copy;
	if (kind == PARSER_DEBUG_OWN && wants_names(file))
		identify_again(parser, id, file);
	return ask_debug(parser, id, ret);
}

/* ---- questions ---- */

int parser_lines(struct parser *parser, uint32_t id, const uint64_t *pcs, size_t count,
	struct parser_frame *ret, size_t max)
{
	struct parser_request request = {.op = PARSER_OP_LINES, .file = id};
	size_t bytes, i;
	int status;

	if (count > PARSER_MAX_PCS)
		return -E2BIG;
	request.number = count;
	request.max = MIN(max, PARSER_MAX_FRAMES);
	memcpy(request.pcs, pcs, count * sizeof(*pcs));
	status = ask(parser, &request, ret, max * sizeof(*ret), &bytes);
	if (status < 0)
		return status;
	if ((size_t)status > max || bytes != (size_t)status * sizeof(*ret))
		return -EBADMSG;
	for (i = 0; i < (size_t)status; i++) {
		if (ret[i].pc_index >= count)
			return -EBADMSG;
		TERMINATE(ret[i].function);
		TERMINATE(ret[i].file);
	}
	return status;
}

int parser_rules(struct parser *parser, uint32_t id, const uint64_t *pcs, size_t count,
	struct unwind_rule *ret)
{
	struct parser_request request = {.op = PARSER_OP_RULES, .file = id, .number = count};
	struct unwind_rule rules[PARSER_MAX_PCS];
	int err;

	if (count > PARSER_MAX_PCS)
		return -E2BIG;
	memcpy(request.pcs, pcs, count * sizeof(*pcs));
	err = ask_one(parser, &request, rules, count * sizeof(*rules));
	if (!err)
		memcpy(ret, rules, count * sizeof(*rules));
	return err;
}

int parser_type(struct parser *parser, uint32_t id, uint64_t type, struct go_type *ret)
{
	struct parser_request request = {.op = PARSER_OP_TYPE, .file = id, .addr = type};
	struct go_type reply;
	int err = ask_one(parser, &request, &reply, sizeof(reply));

	if (err)
		return err;
	TERMINATE(reply.name);
	*ret = reply;
	return 0;
}

int parser_types(struct parser *parser, uint32_t id, uint8_t kind, struct go_type *ret, size_t max)
{
	struct parser_request request = {.op = PARSER_OP_TYPES, .file = id, .number = kind};
	size_t bytes, i;
	int status;

	request.max = MIN(max, PARSER_REPLY_BYTES / sizeof(*ret));
	status = ask(parser, &request, ret, request.max * sizeof(*ret), &bytes);
	if (status < 0)
		return status;
	if (bytes != MIN((size_t)status, request.max) * sizeof(*ret))
		return -EBADMSG;
	for (i = 0; i < bytes / sizeof(*ret); i++)
		TERMINATE(ret[i].name);
	return status;
}

int parser_call_type(struct parser *parser, uint32_t id, uint64_t return_pc, struct go_type *ret)
{
	struct parser_request request = {.op = PARSER_OP_CALL_TYPE, .file = id, .addr = return_pc};
	struct go_type reply;
	int err = ask_one(parser, &request, &reply, sizeof(reply));

	if (err)
		return err;
	TERMINATE(reply.name);
	*ret = reply;
	return 0;
}

int parser_symbol(struct parser *parser, uint32_t id, uint64_t addr, char *name, size_t bytes,
	uint64_t *ret_offset)
{
	struct parser_request request = {.op = PARSER_OP_SYMBOL, .file = id, .addr = addr};
	struct parser_symbol_reply reply;
	int err = ask_one(parser, &request, &reply, sizeof(reply));

	if (err)
		return err;
	TERMINATE(reply.name);
	text_copy(name, bytes, reply.name);
	*ret_offset = reply.offset;
	return 0;
}

int parser_field(struct parser *parser, uint32_t id, uint64_t type, uint64_t offset, char *name,
	size_t bytes, struct go_type *ret_field_type)
{
	struct parser_request request = {
		.op = PARSER_OP_FIELD, .file = id, .addr = type, .number = offset};
	struct parser_field_reply reply;
	int err = ask_one(parser, &request, &reply, sizeof(reply));

	if (err)
		return err;
	TERMINATE(reply.name);
	TERMINATE(reply.type.name);
	text_copy(name, bytes, reply.name);
	*ret_field_type = reply.type;
	return 0;
}

/* ---- open ---- */

int parser_open(struct parser **ret)
{
	struct parser *parser = xcalloc(1, sizeof(*parser));
	int err;

	parser->timeout_ns = TIMEOUT_NS;
	err = start_child(parser);
	if (err)
		free(parser);
	else
		*ret = parser;
	return err;
}

void parser_set_timeout(struct parser *parser, uint64_t timeout_ns)
{
	parser->timeout_ns = timeout_ns;
}

int parser_pid(const struct parser *parser)
{
	return parser->pid;
}

void parser_close(struct parser *parser)
{
	size_t i;

	if (!parser)
		return;
	stop_child(parser);
	for (i = 0; i < parser->file_count; i++) {
		close_copy(parser->files[i]);
		free(parser->files[i]->runtimes);
		free(parser->files[i]);
	}
	free(parser->files);
	free(parser);
}
