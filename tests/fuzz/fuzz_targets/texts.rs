#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ssm_fuzz::texts::run(data));
