/* Plays Coze's streamed chat for load tests: `upstream` prints its port and serves until it is ended.
 *
 * A question that contains `#20x30` gets 20 pieces, one every 30 ms, after 30 ms the first; `#20x0` gets
 * all of them at once. Each piece carries the moment at which it was written: `@` + microseconds of the
 * monotonic clock + `;`, never the same twice. One thread, little work per piece: it must never be the
 * bottleneck.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define FDS 65536
#define IN_CAP 65536
#define OUT_CAP (32u << 20) /* a reader that does not read is cut here */
#define PACES 16
#define WORDS "您好，请带上身份证。"

typedef struct connection {
    int fd, count, sent, pace, streaming, writing;
    long long due;
    char conversation[32], chat[32];
    size_t in_used, out_used, out_done, out_size, text_used, text_size;
    char *in, *out, *text;
    struct connection *previous, *next;
} connection;

/* streams of one pace are due in the order in which they were written to: a list needs no sorting */
static struct { int ms; connection *first, *last; } paces[PACES];
static connection *connections[FDS];
static int poller;
static unsigned long long made;

static long long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void unlink_stream(connection *c)
{
    if (c->pace < 0)
        return;
    if (c->previous) c->previous->next = c->next; else paces[c->pace].first = c->next;
    if (c->next) c->next->previous = c->previous; else paces[c->pace].last = c->previous;
    c->previous = c->next = NULL;
    c->pace = -1;
}

static int link_stream(connection *c, int ms)
{
    int p = 0;
    while (p < PACES && paces[p].ms && paces[p].ms != ms)
        p++;
    if (p == PACES)
        return -1;
    paces[p].ms = ms;
    c->pace = p;
    c->next = NULL;
    c->previous = paces[p].last;
    if (paces[p].last) paces[p].last->next = c; else paces[p].first = c;
    paces[p].last = c;
    return 0;
}

static void drop(connection *c)
{
    unlink_stream(c);
    connections[c->fd] = NULL;
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c->text);
    free(c);
}

static void want(connection *c, int writing)
{
    struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.fd = c->fd};
    if (writing != c->writing)
        epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
    c->writing = writing;
}

static void append(char **to, size_t *used, size_t *room, const char *bytes, size_t size)
{
    if (*used + size > *room) {
        *room = (*used + size) * 2;
        *to = realloc(*to, *room);
        if (!*to) abort();
    }
    memcpy(*to + *used, bytes, size);
    *used += size;
}

static void put(connection *c, const char *bytes, size_t size)
{
    append(&c->out, &c->out_used, &c->out_size, bytes, size);
}

static void put_event(connection *c, const char *name, const char *data)
{
    char line[96];
    size_t named = strlen(name), size = strlen(data);
    /* "event:", "data:" and three line ends are 14 bytes */
    put(c, line, (size_t)snprintf(line, sizeof line, "%zx\r\nevent:%s\ndata:", named + size + 14, name));
    put(c, data, size);
    put(c, "\n\n\r\n", 4);
}

static void put_chat(connection *c, const char *status)
{
    char name[64], data[512];
    snprintf(name, sizeof name, "conversation.chat.%s", status);
    snprintf(data, sizeof data,
             "{\"id\":\"%s\",\"conversation_id\":\"%s\",\"bot_id\":\"7000000000000000001\",\"created_at\":1763715600,"
             "\"last_error\":{\"code\":0,\"msg\":\"\"},\"status\":\"%s\",\"usage\":{\"token_count\":%d,"
             "\"output_count\":%d,\"input_count\":120},\"section_id\":\"%s\"}",
             c->chat, c->conversation, status, 120 + c->count * 6, c->count * 6, c->conversation);
    put_event(c, name, data);
}

/* one message of the chat, whole or a piece of it; `content` is a JSON string's inside */
static void put_message(connection *c, const char *event, const char *type, const char *content, size_t size)
{
    static char *data;
    static size_t room;
    char head[160], tail[256];
    size_t used = 0;
    append(&data, &used, &room, head, (size_t)snprintf(head, sizeof head,
           "{\"id\":\"%s1\",\"conversation_id\":\"%s\",\"role\":\"assistant\",\"type\":\"%s\",\"content\":\"",
           c->chat, c->conversation, type));
    append(&data, &used, &room, content, size);
    append(&data, &used, &room, tail, (size_t)snprintf(tail, sizeof tail,
           "\",\"content_type\":\"text\",\"chat_id\":\"%s\",\"section_id\":\"%s\",\"bot_id\":\"7000000000000000001\","
           "\"created_at\":1763715601}", c->chat, c->conversation) + 1);
    put_event(c, event, data);
}

static void put_piece(connection *c)
{
    static long long newest;
    char content[64];
    long long now = now_us();
    newest = now > newest ? now : newest + 1;
    size_t size = (size_t)snprintf(content, sizeof content, WORDS "@%lld;", newest);
    append(&c->text, &c->text_used, &c->text_size, content, size);
    put_message(c, "conversation.message.delta", "answer", content, size);
    c->sent++;
}

static void put_end(connection *c)
{
    static const char FINISH[] = "{\\\"msg_type\\\":\\\"generate_answer_finish\\\",\\\"data\\\":\\\"\\\"}";
    put_message(c, "conversation.message.completed", "answer", c->text, c->text_used);
    put_message(c, "conversation.message.completed", "verbose", FINISH, sizeof FINISH - 1);
    put_chat(c, "completed");
    put_event(c, "done", "\"[DONE]\"");
    put(c, "0\r\n\r\n", 5);
    c->streaming = 0;
}

static int flush(connection *c) /* -1 when the connection is gone */
{
    while (c->out_done < c->out_used) {
        ssize_t n = send(c->fd, c->out + c->out_done, c->out_used - c->out_done, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            if (c->out_used - c->out_done > OUT_CAP)
                return drop(c), -1;
            want(c, 1);
            return 0;
        }
        if (n < 0)
            return drop(c), -1;
        c->out_done += (size_t)n;
    }
    c->out_used = c->out_done = 0;
    want(c, 0);
    return 0;
}

static int answer(connection *c, const char *head, size_t size) /* -1 when the connection is gone */
{
    static const char JSON[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"
                               "{\"code\":0,\"msg\":\"\",\"data\":{}}";
    static const char SSE[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                              "x-tt-logid: 20261121000000000000000000000001\r\nTransfer-Encoding: chunked\r\n\r\n";
    int ms = 0;
    c->count = 20;
    if (strncmp(head, "POST /v3/chat?", 14) && strncmp(head, "POST /v3/chat ", 14)) {
        put(c, JSON, sizeof JSON - 1);
        return flush(c);
    }
    for (const char *at = memchr(head, '#', size); at; at = memchr(at + 1, '#', size - (size_t)(at + 1 - head)))
        if (sscanf(at, "#%dx%d", &c->count, &ms) == 2)
            break;
    const char *known = strstr(head, "conversation_id="), *line = strchr(head, '\r');
    if (!known || known > line || sscanf(known, "conversation_id=%30[0-9]", c->conversation) != 1)
        snprintf(c->conversation, sizeof c->conversation, "74%017llu", ++made);
    snprintf(c->chat, sizeof c->chat, "75%017llu", ++made);
    c->sent = 0;
    c->text_used = 0;
    c->streaming = 1;
    put(c, SSE, sizeof SSE - 1);
    put_chat(c, "created");
    put_chat(c, "in_progress");
    if (ms && link_stream(c, ms) == 0) {
        c->due = now_us() + ms * 1000LL;
    } else {
        while (c->sent < c->count)
            put_piece(c);
        put_end(c);
    }
    return flush(c);
}

static void take(connection *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, c->in + c->in_used, IN_CAP - 1 - c->in_used, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 || c->streaming) {
            drop(c); /* gone, or talking out of turn */
            return;
        }
        c->in_used += (size_t)n;
        c->in[c->in_used] = 0;
        char *body = strstr(c->in, "\r\n\r\n");
        if (!body)
            continue;
        body += 4;
        char *length = strcasestr(c->in, "\r\ncontent-length:");
        size_t size = length && length < body ? (size_t)atol(length + 17) : 0;
        if ((size_t)(body - c->in) + size > c->in_used) {
            if (c->in_used == IN_CAP - 1) { drop(c); return; }
            continue;
        }
        size_t whole = (size_t)(body - c->in) + size;
        c->in_used = 0;
        if (answer(c, c->in, whole) < 0)
            return;
    }
}

static int play(void) /* writes what is due; returns the milliseconds until the next piece is */
{
    long long nearest = 1000000;
    for (int p = 0; p < PACES && paces[p].ms; p++) {
        long long now = now_us();
        connection *c;
        while ((c = paces[p].first) && c->due <= now) {
            unlink_stream(c);
            put_piece(c);
            if (c->sent >= c->count) {
                put_end(c);
            } else {
                c->due += paces[p].ms * 1000LL;
                link_stream(c, paces[p].ms);
            }
            flush(c);
        }
        if (c && c->due - now < nearest)
            nearest = c->due - now;
    }
    return (int)((nearest + 999) / 1000);
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    signal(SIGPIPE, SIG_IGN);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)
        || getsockname(listener, (struct sockaddr *)&address, &size)) {
        perror("upstream");
        return 1;
    }
    poller = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, events[1024];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int found = epoll_wait(poller, events, 1024, play());
        for (int i = 0; i < found; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    connection *c = calloc(1, sizeof *c);
                    if (!c || fd >= FDS) { close(fd); free(c); continue; }
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    c->fd = fd;
                    c->pace = -1;
                    c->in = malloc(IN_CAP);
                    connections[fd] = c;
                    e = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
                    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
                }
                continue;
            }
            connection *c = connections[fd];
            if (c && (events[i].events & EPOLLOUT) && flush(c) < 0)
                continue;
            if (c && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                take(c);
        }
    }
}
