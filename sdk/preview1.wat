;; Answers what a toolchain asks of WASI preview 1, inside the component and without importing
;; anything: `wavegate plugin build` links it into plugins whose compiler assumes WASI.
;;
;; There is no file, no argument and no environment. Output is dropped: use the plugin's log. Clocks
;; tick one microsecond each time they are read and random numbers are always the same, so that equal
;; inputs give equal outputs; neither is fit for anything else. Nothing can be waited for.
;;
;; Error numbers: 8 is a bad descriptor, 44 no such file, 52 not supported.
(module
  (import "env" "memory" (memory 0))

  (global $clock (mut i64) (i64.const 1000000000))
  ;; Any odd number but zero.
  (global $random (mut i64) (i64.const 0x2545f4914f6cdd1d))

  (func $two_zeros (param i32 i32) (result i32)
    (i32.store (local.get 0) (i32.const 0))
    (i32.store (local.get 1) (i32.const 0))
    (i32.const 0))
  (func $nothing (param i32 i32) (result i32) (i32.const 0))
  (export "args_get" (func $nothing))
  (export "args_sizes_get" (func $two_zeros))
  (export "environ_get" (func $nothing))
  (export "environ_sizes_get" (func $two_zeros))

  (func (export "clock_res_get") (param i32 i32) (result i32)
    (i64.store (local.get 1) (i64.const 1000))
    (i32.const 0))
  (func (export "clock_time_get") (param i32 i64 i32) (result i32)
    (global.set $clock (i64.add (global.get $clock) (i64.const 1000)))
    (i64.store (local.get 2) (global.get $clock))
    (i32.const 0))
  ;; Called by Go around allocations for the host; there is no host to spare here.
  (func (export "adapter_monotonic_clock_set_paused") (param i32))

  ;; The generator xorshift64, a byte at a time.
  (func (export "random_get") (param $at i32) (param $left i32) (result i32)
    (local $x i64)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $left)))
        (local.set $x (global.get $random))
        (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
        (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
        (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
        (global.set $random (local.get $x))
        (i64.store8 (local.get $at) (local.get $x))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; Says that all bytes were written.
  (func (export "fd_write") (param $fd i32) (param $vectors i32) (param $left i32) (param $out i32) (result i32)
    (local $sum i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $left)))
        (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $vectors))))
        (local.set $vectors (i32.add (local.get $vectors) (i32.const 8)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $out) (local.get $sum))
    (i32.const 0))

  (func (export "sched_yield") (result i32) (i32.const 0))
  (func (export "proc_exit") (param i32) (unreachable))
  (func (export "proc_raise") (param i32) (result i32) (unreachable))
  (func (export "poll_oneoff") (param i32 i32 i32 i32) (result i32) (i32.const 52))

  (func $bad_descriptor_1 (param i32) (result i32) (i32.const 8))
  (func $bad_descriptor_2 (param i32 i32) (result i32) (i32.const 8))
  (func $bad_descriptor_3 (param i32 i32 i32) (result i32) (i32.const 8))
  (func $bad_descriptor_4 (param i32 i32 i32 i32) (result i32) (i32.const 8))
  (func $bad_descriptor_5 (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (export "fd_close" (func $bad_descriptor_1))
  (export "fd_datasync" (func $bad_descriptor_1))
  (export "fd_sync" (func $bad_descriptor_1))
  (export "fd_fdstat_get" (func $bad_descriptor_2))
  (export "fd_fdstat_set_flags" (func $bad_descriptor_2))
  (export "fd_filestat_get" (func $bad_descriptor_2))
  (export "fd_prestat_get" (func $bad_descriptor_2))
  (export "fd_renumber" (func $bad_descriptor_2))
  (export "fd_tell" (func $bad_descriptor_2))
  (export "fd_prestat_dir_name" (func $bad_descriptor_3))
  (export "fd_read" (func $bad_descriptor_4))
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (export "fd_readdir" (func $bad_descriptor_5))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (i32.const 8))

  (func $no_file_3 (param i32 i32 i32) (result i32) (i32.const 44))
  (func $no_file_5 (param i32 i32 i32 i32 i32) (result i32) (i32.const 44))
  (func $no_file_6 (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 44))
  (func $no_file_7 (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 44))
  (export "path_create_directory" (func $no_file_3))
  (export "path_remove_directory" (func $no_file_3))
  (export "path_unlink_file" (func $no_file_3))
  (export "path_filestat_get" (func $no_file_5))
  (export "path_symlink" (func $no_file_5))
  (export "path_readlink" (func $no_file_6))
  (export "path_rename" (func $no_file_6))
  (export "path_link" (func $no_file_7))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (i32.const 44))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (i32.const 44))
)
