// Runs a netlist with many mutants (mutants.sv.jinja). Arguments: folder, number of mutants, those of Verilator.
//
// First the plan is carried out without a mutant, and the inputs and outputs of every cycle are kept. Then every mutant
// gets the same inputs, and its first other output is its end. What reacts to outputs would do the same until then.
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

#include "Vmutants.h"
#include "verilated.h"

namespace {

using In = std::array<uint32_t, 5>;
constexpr std::size_t out_words = sizeof(Vmutants::out) / 4;
using Out = std::array<uint32_t, out_words>;
enum : uint32_t { ERROR = 1, SAMPLES_READY = 2, REQUEST_READY = 4, RESPONSE_VALID = 8, RESULTS_VALID = 16 };
enum : uint32_t { RESET = 1, SAMPLES_VALID = 2, RESULTS_READY = 4, REQUEST_VALID = 8 };

class Simulation {
public:
    Simulation(int argc, char** argv, uint32_t mutant) {
        context->commandArgs(argc, argv);
        core = std::make_unique<Vmutants>(context.get());
        core->mutant = mutant;
        core->clk = 0;
        for (std::size_t i = 0; i < 5; ++i) core->in[i] = 0;
        core->eval();
    }
    ~Simulation() { core->final(); }

    // The registers that can be seen, as bytes.
    std::string seen() const {
        return {reinterpret_cast<const char*>(&core->seen), sizeof core->seen};
    }

    Out step(const In& in) {
        for (std::size_t i = 0; i < in.size(); ++i) core->in[i] = in[i];
        core->clk = 1;
        core->eval();
        core->clk = 0;
        core->eval();
        Out out;
        for (std::size_t i = 0; i < out_words; ++i) out[i] = core->out[i];
        return out;
    }

private:
    std::unique_ptr<VerilatedContext> context = std::make_unique<VerilatedContext>();
    std::unique_ptr<Vmutants> core;
};

std::vector<uint64_t> read_words(const std::string& name) {
    std::ifstream file(name, std::ios::binary);
    if (!file) throw std::runtime_error(name + " cannot be read");
    std::vector<uint64_t> words(std::filesystem::file_size(name) / 8);
    file.read(reinterpret_cast<char*>(words.data()), static_cast<std::streamsize>(8 * words.size()));
    return words;
}

// What both sides of the core do in one line of the plan.
struct Line {
    std::vector<uint64_t> items, requests;
    std::size_t results, sample_pause, result_pause, request_pause, gap;
};

class Recorder {
public:
    Recorder(int argc, char** argv) : simulation{argc, argv, 0} {}
    std::vector<In> inputs;
    std::vector<Out> outputs;
    std::unordered_set<std::string> states;  // some of those that were reached

    void reset(std::size_t cycles) {
        while (cycles--) step({RESET});
    }
    // Without any offer; results are not taken.
    void idle(std::size_t cycles) {
        while (cycles--) step({0});
    }
    // Until the bits of `mask` of a register are set.
    void until(uint64_t request, uint32_t mask) {
        for (int tries = 0; tries < 100000; ++tries) {
            carry_out({{}, {request}, 0, 0, 0, 0, 1});
            if (answer & mask) return;
        }
        throw std::runtime_error("a register does not say what it should");
    }
    void carry_out(const Line& line) {
        std::size_t item = 0, request = 0, answers = 0, results = 0, waiting = 0;
        bool offers = false, asks = false;
        const std::size_t begin = inputs.size();
        while (item < line.items.size() || results < line.results || answers < line.requests.size() || offers || asks) {
            offers = item < line.items.size() && (offers || !chance(line.sample_pause));
            // With a gap, no request before the one before was answered.
            asks = request < line.requests.size() && (asks || (!chance(line.request_pause)
                   && (!line.gap || answers == request)));
            const bool takes = !chance(line.result_pause);
            In in{};
            in[0] = (offers ? SAMPLES_VALID : 0) | (asks ? REQUEST_VALID : 0) | (takes ? RESULTS_READY : 0);
            if (offers) put(in, 1, line.items[item]);
            if (asks) put(in, 3, line.requests[request]);
            const Out out = step(in);
            if (out[0] & RESPONSE_VALID) { ++answers; answer = out[1]; }
            if (takes && (out[0] & RESULTS_VALID)) ++results;
            if (offers && (out[0] & SAMPLES_READY)) { ++item; offers = false; }
            if (asks && (out[0] & REQUEST_READY)) { ++request; asks = false; }
            if (inputs.size() - begin > 400000) throw std::runtime_error(
                "a line of the plan does not end: " + std::to_string(item) + " of " + std::to_string(line.items.size())
                + " items, " + std::to_string(answers) + " of " + std::to_string(line.requests.size()) + " answers, "
                + std::to_string(results) + " of " + std::to_string(line.results) + " results");
        }
        step({0});
    }

private:
    static constexpr std::size_t every = 7;  // cycles; passes have other periods
    static void put(In& in, std::size_t word, uint64_t value) {
        in[word] = static_cast<uint32_t>(value);
        in[word + 1] = static_cast<uint32_t>(value >> 32);
    }
    bool chance(std::size_t of_256) { return (random() & 255) < of_256; }
    Out step(const In& in) {
        inputs.push_back(in);
        outputs.push_back(simulation.step(in));
        if (inputs.size() % every == 0) states.insert(simulation.seen());
        return outputs.back();
    }
    Simulation simulation;
    std::mt19937 random{1};
    uint32_t answer = 0;
};

void carry_out(Recorder& recorder, std::istream& plan) {
    std::string kind;
    std::ofstream marks{"marks.txt"};
    while (plan >> kind) {
        std::size_t count = 0;
        if (kind == "reset" && plan >> count) {
            recorder.reset(count);
        } else if (kind == "idle" && plan >> count) {
            recorder.idle(count);
        } else if (kind == "until") {
            uint64_t request = 0;
            uint32_t mask = 0;
            plan >> request >> mask;
            recorder.until(request, mask);
        } else if (kind == "do") {
            std::string items, requests;
            Line line;
            plan >> items >> requests >> line.results >> line.sample_pause >> line.result_pause >> line.request_pause
                 >> line.gap;
            if (items != "-") line.items = read_words(items);
            if (requests != "-") line.requests = read_words(requests);
            recorder.carry_out(line);
        } else if (kind == "mark") {
            std::string name;
            plan >> name;
            marks << name << ' ' << recorder.inputs.size() << std::endl;
        } else {
            throw std::runtime_error("plan must hold known lines, not " + kind);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        std::filesystem::current_path(argv[1]);
        const auto mutants = static_cast<uint32_t>(std::stoul(argv[2]));
        Recorder recorder{argc, argv};
        std::ifstream plan{"plan.txt"};
        carry_out(recorder, plan);
        std::ofstream states{"states.bin", std::ios::binary};
        for (const auto& state : recorder.states) states << state;
        std::ofstream verdicts{"verdicts.txt"};
        verdicts << recorder.inputs.size() << '\n';
        // Mutant 0 is none: it must live, or the model does not repeat itself.
        for (uint32_t mutant = 0; mutant <= mutants; ++mutant) {
            Simulation simulation{argc, argv, mutant};
            std::size_t cycle = 0;
            while (cycle < recorder.inputs.size() && simulation.step(recorder.inputs[cycle]) == recorder.outputs[cycle])
                ++cycle;
            verdicts << mutant << ' ' << cycle << '\n';
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
