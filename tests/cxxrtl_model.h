// The module `Driven` as CXXRTL compiles it, with the face that Verilator would give it: all that `sim/driver.cpp` asks
// for.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "core.h"

template <std::size_t words>
using VlWide = std::array<uint32_t, words>;

struct VerilatedContext {
    void commandArgs(int, char**) {}
};

class Vcore {
    using Model = cxxrtl_design::p_Driven;
    Model model;

    template <std::size_t bits>
    static void put(cxxrtl::value<bits>& port, uint64_t number) {
        for (std::size_t i = 0; i < port.chunks; ++i)
            port.data[i] = static_cast<uint32_t>(i < 2 ? number >> 32 * i : 0)
                & (i + 1 < port.chunks ? ~0u : port.msb_mask);
    }
    template <std::size_t bits>
    static uint64_t get(const cxxrtl::value<bits>& port) {
        return port.data[0] | (port.chunks > 1 ? uint64_t{port.data[port.chunks > 1]} << 32 : 0);
    }
    static constexpr std::size_t result_words =
        decltype(Model::p_result)::chunks < 2 ? 2 : decltype(Model::p_result)::chunks;

public:
    explicit Vcore(VerilatedContext*) {}

    uint64_t clk = 0, sample_valid = 0, sample = 0, request_valid = 0, request = 0;
    uint64_t samples_ready = 0, results_valid = 0, request_ready = 0, response_valid = 0, response = 0;
    VlWide<result_words> result{};

    void eval() {
        put(model.p_clk, clk);
        put(model.p_sample__valid, sample_valid);
        put(model.p_sample, sample);
        put(model.p_request__valid, request_valid);
        put(model.p_request, request);
        model.step();
        samples_ready = get(model.p_samples__ready);
        results_valid = get(model.p_results__valid);
        request_ready = get(model.p_request__ready);
        response_valid = get(model.p_response__valid);
        response = get(model.p_response);
        for (std::size_t i = 0; i < result_words; ++i)
            result[i] = i < model.p_result.chunks ? model.p_result.data[i] : 0;
    }
    void final() {}
};
