"""A fork server whose children are scripts of bash: speaks the protocol of `domain::protocol::ForkRequest`.

The argument is the script. Children die with this process, and this process with its worker, as those of `rushes-media` do.
"""

import ctypes
import json
import os
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def become_child(streams, script):
    os.setpgid(0, 0)
    die_with_parent()
    # Python ignores these signals, and a program that it executes inherits that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 64)
    os.execv("/bin/bash", ["/bin/bash", "-c", script])


def reap(child):
    try:
        ended, status = os.waitpid(child, os.WNOHANG)
    except OSError as error:
        return {"failed": error.errno}
    if ended == 0:
        return "running"
    if os.WIFSIGNALED(status):
        return {"killed": os.WTERMSIG(status)}
    return {"exited": os.WEXITSTATUS(status)}


def main(script):
    die_with_parent()
    server = socket.socket(fileno=0)
    while True:
        packet, streams, _, _ = socket.recv_fds(server, 128, 3)
        if not packet:
            return
        request = json.loads(packet)
        if request == "start":
            child = os.fork()
            if child == 0:
                become_child(streams, script)
            try:
                os.setpgid(child, child)
            except PermissionError:
                pass  # it runs the script by now, and has done the same before
            for stream in streams:
                os.close(stream)
            reply = {"started": child}
        else:
            reply = reap(request["reap"])
        server.send(json.dumps(reply).encode())


main(sys.argv[1])
