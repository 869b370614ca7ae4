"""Words that cannot name a module."""

__all__ = ["KEYWORDS", "TAKEN"]

#: Ports of a core or of one with a serial line, which C++ cannot tell from the module, and a package of SystemVerilog.
TAKEN = frozenset("""
    clk rst rst_n clk_en error samples_valid samples_ready samples_payload results_valid results_ready results_payload
    request_valid request_ready request_payload response_valid response_payload rx tx leds std
""".split())  # noqa: SIM905 -- as below

#: Keywords of Verilog (IEEE 1364-2005), of SystemVerilog (IEEE 1800-2023) and of VHDL (IEEE 1076-2019, where the
#: library of the design is called `work`), lower case.
KEYWORDS = frozenset("""
    always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign default
    defparam design disable edge else end endcase endconfig endfunction endgenerate endmodule endprimitive
    endspecify endtable endtask event for force forever fork function generate genvar highz0 highz1 if ifnone
    incdir include initial inout input instance integer join large liblist library localparam macromodule medium
    module nand negedge nmos nor noshowcancelled not notif0 notif1 or output parameter pmos posedge primitive
    pull0 pull1 pulldown pullup pulsestyle_onevent pulsestyle_ondetect rcmos real realtime reg release repeat
    rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled signed small specify specparam strong0 strong1
    supply0 supply1 table task time tran tranif0 tranif1 tri tri0 tri1 triand trior trireg unsigned use uwire
    vectored wait wand weak0 weak1 while wire wor xnor xor alias assert assume before bind bins binsof bit break
    byte chandle checker class clocking const constraint context continue cover covergroup coverpoint cross dist
    do endchecker endclass endclocking endgroup endinterface endpackage endprogram endproperty endsequence enum
    expect export extends extern final first_match foreach forkjoin global iff ignore_bins illegal_bins implies
    import inside int interface intersect join_any join_none let local logic longint matches modport new
    nexttime null package packed priority program property protected pure rand randc randcase randsequence ref
    restrict return sequence shortint shortreal solve static string struct super tagged this throughout
    timeprecision timeunit type typedef union unique until var virtual void wait_order wildcard with within
    accept_on always_comb always_ff always_latch eventually implements interconnect nettype reject_on s_always
    s_eventually s_nexttime s_until s_until_with soft sync_accept_on sync_reject_on unique0 until_with untyped weak
    abs access after all architecture array assume_guarantee attribute block body buffer bus component
    configuration context disconnect downto elsif entity exit fairness file generic group guarded impure in
    inertial is label library linkage literal loop map mod new next null of on open others out port postponed
    private procedure process range record register reject rem report restrict_guarantee rol ror select severity
    signal sla sll sra srl strong subtype then to transport units variable view vmode vprop vunit when work
""".split())  # noqa: SIM905 -- one word per line would be eight pages
