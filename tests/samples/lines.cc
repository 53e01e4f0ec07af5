/* SPDX-License-Identifier: BSD-2-Clause */
/* Code of many shapes for the tests of line tables: inlining, lambdas, local classes, templates. */
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <unordered_map>
#include <vector>

namespace outer {
namespace {

template <typename T> struct shelf {
	std::vector<T> items;

	void put(T item)
	{
		items.push_back(std::move(item));
		if (items.size() > 1000)
			items.erase(items.begin(), items.begin() + 500);
	}

	template <typename F> size_t count(F match) const
	{
		return std::count_if(items.begin(), items.end(), match);
	}
};

inline int twice(int n)
{
	return n * 2 + 1;
}

inline int four_times(int n)
{
	return twice(twice(n)) ^ 5;
}

} // namespace

class store {
public:
	virtual ~store() = default;

	virtual void add(const std::string &key, int value)
	{
		/* A class within a function, and its methods */
		struct rule {
			int limit;

			bool allows(int n) const
			{
				auto below = [this](int m) { return m < limit || m % 7 == 0; };

				return below(n) && below(four_times(n) & 1023);
			}
		};
		rule small{1000};

		if (small.allows(value))
			numbers[key].push_back(value);
		names.put(key);
	}

	int sum() const
	{
		int total = 0;

		for (const auto &entry : numbers)
			std::for_each(entry.second.begin(), entry.second.end(),
				[&total](int n) { total += four_times(n); });
		return total + (int)names.count(
				       [](const std::string &name) { return name.size() > 4; });
	}

private:
	std::unordered_map<std::string, std::vector<int>> numbers;
	shelf<std::string> names;
};

class sorted_store : public store {
public:
	void add(const std::string &key, int value) override
	{
		std::regex words("([a-z]+)([0-9]*)");
		std::smatch found;

		if (std::regex_match(key, found, words))
			order[found[1]] += value;
		store::add(key, value);
	}

private:
	std::map<std::string, int> order;
};

} // namespace outer

extern "C" __attribute__((noinline)) void lines_place(outer::store *store, int i)
{
	store->add("key" + std::to_string(i % 100), i);
}

int main(int argc, char **argv)
{
	std::vector<std::unique_ptr<outer::store>> stores;
	std::function<void(int)> step;

	stores.push_back(std::make_unique<outer::store>());
	stores.push_back(std::make_unique<outer::sorted_store>());
	step = [&stores](int i) {
		for (auto &store : stores)
			lines_place(store.get(), i);
	};
	try {
		for (int i = 0; i < argc * 100; i++)
			step(i);
		stores.at(argc > 5 ? 9 : 1)->add(argv[0], 1);
	} catch (const std::exception &error) {
		fprintf(stderr, "%s\n", error.what());
	}
	printf("%d\n", stores[0]->sum() + stores[1]->sum());
	return 0;
}
