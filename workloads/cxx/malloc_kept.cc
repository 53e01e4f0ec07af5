// SPDX-License-Identifier: BSD-2-Clause

// What glibc keeps of what was freed, phase after phase; each begins with a line on standard input. The truth is
// mallinfo2() of that moment, and for the last phase what malloc_trim() gave back.
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "truth.h"

namespace {

constexpr size_t blocks = 100000, threads = 3;

unsigned long rss_bytes()
{
	unsigned long size = 0, resident = 0;
	FILE *file = std::fopen("/proc/self/statm", "r");

	if (file) {
		if (std::fscanf(file, "%lu %lu", &size, &resident) != 2)
			resident = 0;
		std::fclose(file);
	}
	return resident * 4096;
}

void *filled(size_t bytes)
{
	void *block = std::malloc(bytes);

	std::memset(block, 1, bytes);
	return block;
}

// Frees all but every tenth.
void thin(std::vector<void *> &list)
{
	for (size_t i = 0; i < list.size(); i++) {
		if (i % 10) {
			std::free(list[i]);
			list[i] = nullptr;
		}
	}
}

// Blocks of many sizes in an arena of its own, which stays as the thread left it.
class helper {
	std::mutex mutex;
	std::condition_variable wake;
	std::atomic<bool> stop{false};
	std::vector<std::thread> running;
	size_t done = 0;
	bool busy;

	void work(unsigned number)
	{
		std::vector<void *> list;

		for (size_t i = 0; i < blocks / 8; i++)
			list.push_back(filled(16 + (i * 7919 + number) % 1000));
		thin(list);
		std::unique_lock<std::mutex> lock(mutex);
		done++;
		wake.notify_all();
		while (busy && !stop) {
			lock.unlock();
			for (size_t i = 1; i < list.size(); i += 10) {
				std::free(list[i]);
				list[i] = filled(16 + (i * 31 + number) % 1000);
			}
			lock.lock();
		}
		wake.wait(lock, [this] { return stop.load(); });
	}

public:
	explicit helper(bool busy) : busy(busy)
	{
		for (unsigned i = 0; i < threads; i++)
			running.emplace_back(&helper::work, this, i);
		std::unique_lock<std::mutex> lock(mutex);
		wake.wait(lock, [this] { return done == threads; });
	}

	~helper()
	{
		stop = true;
		wake.notify_all();
		for (std::thread &thread : running)
			thread.join();
	}
};

void tell(unsigned long gave = 0)
{
	struct mallinfo2 info = mallinfo2();

	truth<5>({{"system", info.arena}, {"mapped", info.hblkhd}, {"free", info.fordblks},
		{"rss", rss_bytes()}, {"gave", gave}});
}

}

int main(int argc, char **argv)
{
	bool busy = argc > 1 && std::string(argv[1]) == "busy";
	static std::vector<void *> list;
	static char line[64];
	unsigned long before;

	// What is printed and kept must not move what is measured
	std::setvbuf(stdout, nullptr, _IONBF, 0);
	std::setvbuf(stdin, nullptr, _IONBF, 0);
	list.reserve(blocks);
	for (size_t i = 0; i < blocks; i++)
		list.push_back(filled(500));
	void *large = filled(10 << 20);
	ready();
	tell();
	next_line(line);
	thin(list);
	tell();
	next_line(line);
	helper helpers(busy);
	tell();
	next_line(line);
	for (void *&block : list) {
		std::free(block);
		block = nullptr;
	}
	tell();
	next_line(line);
	before = rss_bytes();
	malloc_trim(0);
	tell(before - rss_bytes());
	next_line(line);
	std::free(large);
}
