// SPDX-License-Identifier: BSD-2-Clause

// What bench.sh has compiled: much to do for a compiler in few lines.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <unordered_map>
#include <vector>

int main(int argc, char **argv)
{
	std::unordered_map<std::string, std::vector<std::function<int(int)>>> table;
	std::map<std::string, std::regex> patterns;

	for (int i = 0; i < argc; i++) {
		table[argv[i]].push_back([i](int n) { return n + i; });
		patterns.emplace(argv[i], std::regex(argv[i]));
	}
	std::vector<std::string> keys;
	for (const auto &entry : table)
		keys.push_back(entry.first);
	std::sort(keys.begin(), keys.end(), [](const auto &a, const auto &b) { return a.size() < b.size(); });
	for (const auto &key : keys)
		if (std::regex_search(key, patterns.at(key)))
			std::cout << key << " " << table[key][0](1) << "\n";
}
