//! TCP port forwarding over an AWS Systems Manager session: websocket, local listener, in-process streams.
