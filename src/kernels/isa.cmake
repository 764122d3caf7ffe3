# Tables per instruction set. The sources src/kernels/cpu/*_isa.cc named in `isa_sources` are compiled once per set, with
# its flags and -DSLUICE_ISA=<name>; every function in them lives in namespace sluice::kernels::SLUICE_ISA (cpu/kernels.h
# says why). x86_isa.cc, or portable_isa.cc elsewhere, is compiled once, for the baseline, and lists the tables.
target_sources(kernels PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cpu/portable_isa.cc)
