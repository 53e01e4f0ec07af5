/* SPDX-License-Identifier: BSD-2-Clause */
/* A list of small nodes: glibc grows its heap by brk(2), the pages come with the writing. */
#include <stdlib.h>

#include "truth.h"

#define NODES 400000
#define BYTES 120 /* and glibc's 8 */

struct node {
	struct node *next;
	char text[BYTES - sizeof(struct node *)];
};

static struct node *head;

static KEEP void push(int i)
{
	struct node *node = malloc(sizeof(*node));

	memset(node->text, i, sizeof(node->text)); // SITE
	node->next = head;
	head = node;
}

int main(void)
{
	unsigned long before;

	ready();
	before = rss_bytes();
	for (int i = 0; i < NODES; i++)
		push(i);
	TRUTH({"held", NODES * (BYTES + 8ul)}, {"rss", rss_bytes() - before});
	obey();
	return 0;
}
