"""A mail server for the tests: aiosmtpd with STARTTLS, TLS or neither, and a login. Each mail becomes two files in a folder:
NNNN.json with its envelope, then NNNN.eml with its bytes."""

import argparse
import asyncio
import json
import pathlib
import ssl

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Spool:
    """Takes mails, but for recipients that are refused."""

    def __init__(self, folder, refused):
        self.folder = pathlib.Path(folder)
        self.refused = refused

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refused:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        number = len(list(self.folder.glob("*.eml"))) + 1
        sender = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "encrypted": server.transport.get_extra_info("cipher") is not None,
            "user": (session.auth_data.login.decode() if session.auth_data else None),
        }
        (self.folder / f"{number:04}.json").write_text(json.dumps(sender))
        partial = self.folder / f"{number:04}.part"
        partial.write_bytes(envelope.original_content)
        partial.rename(self.folder / f"{number:04}.eml")
        return "250 2.0.0 taken"


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spool", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--security", choices=["starttls", "tls", "none"], required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--refuse", action="append", default=[])
    arguments = parser.parse_args()

    tls = None
    if arguments.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(arguments.certificate, arguments.key)

    def login(server, session, envelope, mechanism, data):
        known = LoginPassword(arguments.user.encode(), arguments.password.encode())
        # Not handled here means that the server says no by itself.
        return AuthResult(success=data == known, handled=False, auth_data=data)

    def connection():
        begins_in_clear = arguments.security == "starttls"
        return SMTP(
            Spool(arguments.spool, arguments.refuse),
            hostname="localhost",
            tls_context=tls if begins_in_clear else None,
            require_starttls=begins_in_clear,
            authenticator=login if arguments.user else None,
            auth_required=arguments.user is not None,
            auth_require_tls=begins_in_clear,
        )

    loop = asyncio.get_running_loop()
    listener_tls = tls if arguments.security == "tls" else None
    server = await loop.create_server(connection, "127.0.0.1", arguments.port, ssl=listener_tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
