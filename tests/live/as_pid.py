#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Starts a program under a pid that is free again: as_pid.py PID PROGRAM [ARG...]. Needs CAP_CHECKPOINT_RESTORE.

Passes its exit code on; 77 where the pid is taken, or this kernel (before 5.5) cannot.
"""
import ctypes
import os
import signal
import struct
import sys

SYS_CLONE3 = 435  # on every architecture
UNUSABLE = 77


def clone_as(pid):
    """fork(), with set_tid of struct clone_args (linux/sched.h, CLONE_ARGS_SIZE_VER1): ten numbers of 64 bits."""
    libc = ctypes.CDLL(None, use_errno=True)
    tids = (ctypes.c_int * 1)(pid)
    args = struct.pack("<10Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(tids), 1)
    buffer = ctypes.create_string_buffer(args, len(args))
    return libc.syscall(SYS_CLONE3, buffer, len(args))


child = clone_as(int(sys.argv[1]))
if child < 0:
    sys.exit(UNUSABLE)
if not child:
    os.execv(sys.argv[2], sys.argv[2:])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xff)
