/* Asks a server on loopback the requests of a file, over many connections, and measures.
 *
 * usage: load PORT FILE CONNECTIONS RAMP_MS SECONDS TIMEOUT_S PIECES MARKER
 *
 * FILE holds whole HTTP requests, each after a line with its size. Connection i begins i/CONNECTIONS of
 * RAMP_MS late; each takes the next request when its last one is answered, until SECONDS are over or the file
 * is. An answer counts when its status is 200, it holds MARKER, and PIECES times `@microseconds;` (0: any
 * number); these times give the delay of each piece; one that is repeated is no piece. Prints one JSON object;
 * times in milliseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { WAITING, CONNECTING, HEAD, BODY, IDLE, OVER };
enum { BAD_STATUS, NO_CONNECTION, CUT, TIMED_OUT, INCOMPLETE, KINDS };
static const char *KIND[] = {"status", "no_connection", "cut", "timed_out", "incomplete"};

typedef struct {
    const char *request;
    size_t size, written, head_used;
    int fd, state, chunked, chunk_line, closes, marked, matched, pieces, status, digits, repeat;
    long long begun, starts, left, stamp, newest;
    char head[8192];
} client;

typedef struct { float *at; size_t used, room; } samples;

static struct { char *at; size_t size; } *requests;
static size_t request_count, next_request;
static client *clients;
static int count, poller, timeout_s, pieces_wanted, failed[KINDS], statuses[600];
static size_t marker_size, done, bytes;
static const char *marker;
static long long begun, last, until;
static samples firsts, deltas, wholes;
static struct sockaddr_in address = {.sin_family = AF_INET};
static char failure[2000];

static long long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void add(samples *s, long long us)
{
    if (s->used == s->room) {
        s->room = s->room ? s->room * 2 : 65536;
        s->at = realloc(s->at, s->room * sizeof *s->at);
        if (!s->at) abort();
    }
    s->at[s->used++] = (float)us / 1000;
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float part(samples *s, double p)
{
    return s->used ? s->at[(size_t)(p * (double)(s->used - 1))] : 0;
}

static void begin(client *c, int again);

static void hang_up(client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void fail(client *c, int kind)
{
    failed[kind]++;
    if (kind == BAD_STATUS && c->status > 0 && c->status < 600)
        statuses[c->status]++;
    if (!failure[0] && c->head_used)
        snprintf(failure, sizeof failure, "%.*s", (int)sizeof failure - 1, c->head);
    last = now_us();
    hang_up(c);
    begin(c, 0);
}

static void watch(client *c, unsigned events, int operation)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &e);
}

static void begin(client *c, int again)
{
    if (!again) {
        if (next_request == request_count || now_us() >= until) {
            hang_up(c);
            c->state = OVER;
            return;
        }
        c->request = requests[next_request].at;
        c->size = requests[next_request++].size;
        c->begun = now_us();
        if (!begun) begun = c->begun;
    }
    c->repeat = again;
    c->written = c->head_used = 0;
    c->chunked = c->chunk_line = c->closes = c->marked = c->matched = c->pieces = c->status = 0;
    c->digits = -1;
    c->newest = 0;
    if (c->fd < 0) {
        int on = 1;
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->repeat = 1; /* a new connection that ends is no stale one */
        if (connect(c->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) {
            fail(c, NO_CONNECTION);
            return;
        }
        c->state = CONNECTING;
        watch(c, EPOLLOUT, EPOLL_CTL_ADD);
        return;
    }
    c->state = CONNECTING;
    watch(c, EPOLLOUT, EPOLL_CTL_MOD);
}

static void look(client *c, const char *at, size_t size)
{
    for (const char *end = at + size; at < end; at++) {
        char letter = *at;
        if (letter == marker[c->matched]) {
            if (++c->matched == (int)marker_size) { c->marked = 1; c->matched = 0; }
        } else {
            c->matched = letter == marker[0];
        }
        if (letter == '@') {
            c->stamp = c->digits = 0;
        } else if (c->digits >= 0) {
            if (letter >= '0' && letter <= '9') {
                c->stamp = c->stamp * 10 + (letter - '0');
                c->digits++;
            } else {
                if (letter == ';' && c->stamp > c->newest) {
                    c->newest = c->stamp;
                    long long late = now_us() - c->stamp;
                    add(&deltas, late);
                    if (!c->pieces++) add(&firsts, late);
                }
                c->digits = -1;
            }
        }
    }
}

static void finish(client *c)
{
    if (c->status != 200) { fail(c, BAD_STATUS); return; }
    if (!c->marked || (pieces_wanted && c->pieces != pieces_wanted)) { fail(c, INCOMPLETE); return; }
    last = now_us();
    add(&wholes, last - c->begun);
    done++;
    if (c->closes)
        hang_up(c);
    begin(c, 0);
}

static int body(client *c, const char *at, size_t size) /* 1 when the answer is over */
{
    while (size) {
        if (c->chunked && c->left == 0) {
            char letter = *at++;
            size--;
            if (letter == '\n') {
                c->head[c->chunk_line] = 0;
                if (c->chunk_line == 0) continue; /* the line end behind a chunk */
                c->chunk_line = 0;
                c->left = strtoll(c->head, NULL, 16);
                if (c->left == 0) return 1;
            } else if (letter != '\r' && c->chunk_line < 64) {
                c->head[c->chunk_line++] = letter;
            }
            continue;
        }
        size_t now = c->left < 0 || (long long)size < c->left ? size : (size_t)c->left;
        look(c, at, now);
        at += now;
        size -= now;
        if (c->left >= 0 && (c->left -= (long long)now) == 0 && !c->chunked)
            return 1;
    }
    return 0;
}

static int headed(client *c, char *end) /* reads the header; 1 when no body follows */
{
    *end = 0;
    c->status = strlen(c->head) > 12 ? atoi(c->head + 9) : 0;
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    c->chunked = strcasestr(c->head, "\r\ntransfer-encoding: chunked") != NULL;
    c->closes = strcasestr(c->head, "\r\nconnection: close") != NULL;
    c->left = c->chunked ? 0 : length ? atoll(length + 17) : -1;
    c->state = BODY;
    return !c->chunked && c->left == 0;
}

static void take(client *c)
{
    static char piece[262144];
    for (;;) {
        ssize_t n = recv(c->fd, piece, sizeof piece, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            if (n == 0 && c->state == BODY && c->left < 0) { c->closes = 1; finish(c); return; }
            if (c->state == HEAD && !c->head_used && !c->repeat) { hang_up(c); begin(c, 1); return; }
            fail(c, CUT);
            return;
        }
        bytes += (size_t)n;
        char *at = piece;
        if (c->state == HEAD) {
            size_t room = sizeof c->head - 1 - c->head_used, part_of = (size_t)n < room ? (size_t)n : room;
            memcpy(c->head + c->head_used, piece, part_of);
            c->head[c->head_used + part_of] = 0;
            char *end = strstr(c->head, "\r\n\r\n");
            if (!end) {
                c->head_used += part_of;
                if (part_of == room) { fail(c, CUT); return; }
                continue;
            }
            at = piece + ((size_t)(end + 4 - c->head) - c->head_used);
            c->head_used += part_of;
            if (headed(c, end + 2)) { finish(c); return; }
        }
        if (body(c, at, (size_t)n - (size_t)(at - piece))) { finish(c); return; }
    }
}

static void give(client *c)
{
    while (c->written < c->size) {
        ssize_t n = send(c->fd, c->request + c->written, c->size - c->written, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            if (!c->repeat) { hang_up(c); begin(c, 1); return; }
            fail(c, NO_CONNECTION);
            return;
        }
        c->written += (size_t)n;
    }
    c->state = HEAD;
    watch(c, EPOLLIN, EPOLL_CTL_MOD);
}

static int over(int *wait_ms)
{
    static long long looked;
    long long now = now_us(), soonest = 100000;
    int active = 0;
    for (int i = 0; i < count; i++) {
        client *c = &clients[i];
        if (c->state == WAITING) {
            if (c->starts <= now) begin(c, 0);
            else if (c->starts - now < soonest) soonest = c->starts - now;
        }
        active |= c->state != OVER;
    }
    if (now - looked > 500000) {
        looked = now;
        for (int i = 0; i < count; i++)
            if (clients[i].state > WAITING && clients[i].state < IDLE && now - clients[i].begun > timeout_s * 1000000LL)
                fail(&clients[i], TIMED_OUT);
    }
    *wait_ms = (int)(soonest / 1000) + 1;
    return !active;
}

static void read_requests(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t size, room = 0;
    if (!file) { perror(path); exit(1); }
    while (fscanf(file, "%zu", &size) == 1 && fgetc(file) == '\n') {
        if (request_count == room) {
            room = room ? room * 2 : 1024;
            requests = realloc(requests, room * sizeof *requests);
            if (!requests) abort();
        }
        requests[request_count].at = malloc(size);
        requests[request_count].size = size;
        if (!requests[request_count].at || fread(requests[request_count].at, 1, size, file) != size) abort();
        request_count++;
    }
    fclose(file);
}

int main(int argc, char **argv)
{
    struct epoll_event events[1024];
    if (argc != 9) { fprintf(stderr, "usage: see the source\n"); return 2; }
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    read_requests(argv[2]);
    count = atoi(argv[3]);
    clients = calloc((size_t)count, sizeof *clients);
    long long start = now_us(), ramp = atoll(argv[4]) * 1000;
    until = start + (long long)(atof(argv[5]) * 1e6);
    timeout_s = atoi(argv[6]);
    pieces_wanted = atoi(argv[7]);
    marker = argv[8];
    marker_size = strlen(marker);
    poller = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        clients[i].fd = -1;
        clients[i].starts = start + ramp * i / count;
    }
    int wait_ms;
    while (!over(&wait_ms)) {
        int found = epoll_wait(poller, events, 1024, wait_ms);
        for (int i = 0; i < found; i++) {
            client *c = events[i].data.ptr;
            if (c->state == CONNECTING) {
                int problem = 0;
                socklen_t size = sizeof problem;
                getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
                if (problem) fail(c, NO_CONNECTION); else give(c);
            } else if (c->state == HEAD || c->state == BODY) {
                take(c);
            }
        }
    }
    samples *all[] = {&firsts, &deltas, &wholes};
    const char *names[] = {"first", "delta", "whole"};
    printf("{\"done\":%zu,\"seconds\":%.3f,\"bytes\":%zu", done, (double)(last - begun) / 1e6, bytes);
    for (int i = 0; i < 3; i++) {
        if (all[i]->used) qsort(all[i]->at, all[i]->used, sizeof(float), ascending);
        printf(",\"%s\":{\"count\":%zu,\"p50\":%.3f,\"p95\":%.3f,\"p99\":%.3f,\"max\":%.3f}", names[i], all[i]->used,
               part(all[i], .5), part(all[i], .95), part(all[i], .99), part(all[i], 1));
    }
    printf(",\"failed\":{");
    for (int i = 0; i < KINDS; i++)
        printf("%s\"%s\":%d", i ? "," : "", KIND[i], failed[i]);
    printf("},\"statuses\":{");
    for (int i = 0, any = 0; i < 600; i++)
        if (statuses[i]) printf("%s\"%d\":%d", any++ ? "," : "", i, statuses[i]);
    printf("},\"example\":\"");
    for (const char *at = failure; *at; at++)
        if (*at >= 32 && *at < 127 && *at != '"' && *at != '\\') putchar(*at); else putchar(' ');
    printf("\"}\n");
}
