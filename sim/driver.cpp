// Runs a core compiled by Verilator, without Python and without a bench: a plan in, files out. See driver.py.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vcore.h"
#include "verilated.h"

namespace {

// Ports wider than 64 bits are arrays of words, all others are integers.
template <std::size_t words>
void append(std::vector<uint32_t>& out, const VlWide<words>& value) {
    for (std::size_t i = 0; i < words; ++i) out.push_back(value[i]);
}
void append(std::vector<uint32_t>& out, uint64_t value) {
    out.push_back(static_cast<uint32_t>(value));
    out.push_back(static_cast<uint32_t>(value >> 32));
}

std::vector<uint64_t> read_words(const std::string& path, std::size_t count) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + " cannot be read");
    const auto bytes = std::filesystem::file_size(path);
    if (bytes != 8 * count)
        throw std::runtime_error(path + " must hold " + std::to_string(8 * count) + " bytes, not "
                                 + std::to_string(bytes));
    std::vector<uint64_t> words(count);
    file.read(reinterpret_cast<char*>(words.data()), static_cast<std::streamsize>(bytes));
    if (!file) throw std::runtime_error(path + " cannot be read");
    return words;
}

// Whoever waits for the file sees all of it or nothing.
void write_words(const std::string& path, const std::vector<uint32_t>& words) {
    const std::string partial = path + ".part";
    std::ofstream file(partial, std::ios::binary);
    file.write(reinterpret_cast<const char*>(words.data()), static_cast<std::streamsize>(4 * words.size()));
    file.close();
    if (!file) throw std::runtime_error(partial + " cannot be written");
    std::filesystem::rename(partial, path);
}

class Driver {
public:
    // `patience`: cycles within which something comes of all that is asked.
    Driver(VerilatedContext& context, uint64_t patience)
        : core{&context}, progress{"progress", std::ios::trunc}, patience{patience} {
        core.clk = core.sample_valid = core.request_valid = 0;  // everything begins with random bits
        core.eval();
    }
    ~Driver() { core.final(); }

    // Register accesses, one whenever the core takes one; the answer of each.
    std::vector<uint32_t> access(const std::vector<uint64_t>& requests) {
        std::vector<uint32_t> answers;
        answers.reserve(requests.size());
        auto request = requests.begin();
        const auto offer = [&] {
            core.request_valid = request != requests.end();
            if (request != requests.end()) core.request = *request;
            step();
        };
        hope();
        offer();
        for (; answers.size() < requests.size(); offer()) {
            if (core.response_valid) {
                if (const auto status = core.response >> 32)
                    throw std::runtime_error("register access " + std::to_string(answers.size()) + " of "
                                             + std::to_string(requests.size()) + " ended with status "
                                             + std::to_string(status));
                answers.push_back(static_cast<uint32_t>(core.response));
                hope();
            }
            if (core.request_ready && request != requests.end()) ++request;
        }
        return answers;
    }

    // Offers an item in every cycle, takes a result in every cycle. Per result: its cycle (two words), its payload;
    // after them the cycle (two words) in which each marked item was taken.
    std::vector<uint32_t> run(const std::vector<uint64_t>& items, std::size_t results) {
        constexpr uint64_t marked = uint64_t{1} << 63;
        std::vector<uint32_t> out, arrivals;
        auto item = items.begin();
        const auto offer = [&] {
            core.sample_valid = item != items.end();
            if (item != items.end()) core.sample = *item & ~marked;
            step();
        };
        hope();
        offer();
        for (std::size_t taken = 0; taken < results; offer()) {
            if (core.results_valid) {
                append(out, cycle);
                append(out, core.result);
                ++taken;
                hope();
                progress.seekp(0) << ++finished << std::flush;
            }
            if (core.samples_ready && item != items.end()) {
                if (*item & marked) append(arrivals, cycle);
                ++item;
            }
        }
        out.insert(out.end(), arrivals.begin(), arrivals.end());
        return out;
    }

    // The same request again until a bit of the mask is set in the answer.
    void until(uint64_t request, uint64_t mask) {
        for (const auto begin = cycle; !(access({request}).front() & mask);)
            if (cycle - begin > patience) stand_still();
    }

private:
    void hope() { heard = cycle; }

    void stand_still() const {
        throw std::runtime_error("the core stands still: " + std::to_string(finished) + " results, and no other within "
                                 + std::to_string(patience) + " cycles");
    }

    // One cycle on: what was set is seen by the core, and what the core answers can be read.
    void step() {
        if (cycle - heard > patience) stand_still();
        core.clk = 1;
        core.eval();
        core.clk = 0;
        core.eval();
        ++cycle;
    }

    Vcore core;
    std::ofstream progress;  // results so far, for whoever watches
    uint64_t cycle = 0;      // since reset
    uint64_t finished = 0;
    const uint64_t patience;
    uint64_t heard = 0;      // cycle of the last answer or result
};

void carry_out(Driver& driver, std::istream& plan) {
    std::string kind;
    while (plan >> kind) {
        std::string in, out;
        std::size_t count = 0, results = 0;
        if (kind == "access" && plan >> in >> count >> out) {
            write_words(out, driver.access(read_words(in, count)));
        } else if (kind == "run" && plan >> in >> count >> out >> results) {
            write_words(out, driver.run(read_words(in, count), results));
        } else if (kind == "until" && plan >> count >> results) {
            driver.until(count, results);
        } else if (kind == "ask" && plan >> count) {
            driver.access({count});
        } else {
            throw std::runtime_error("plan must hold known lines, not " + kind);
        }
    }
}

}  // namespace

// The plan comes on standard input while it runs, files are in the working directory; the first argument is the patience,
// the others are Verilator's.
int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    try {
        Driver driver{context, argc > 1 ? std::stoull(argv[1]) : 0};
        carry_out(driver, std::cin);
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
