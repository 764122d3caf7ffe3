# One source per ISA-specific table: src/kernels/cpu/*_isa.cc is compiled once per instruction set with its flags and
# -DSLUICE_ISA=<name>; every function in it lives in namespace sluice::kernels::SLUICE_ISA.
