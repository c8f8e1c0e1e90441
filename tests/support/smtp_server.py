"""An SMTP server (aiosmtpd) that writes every accepted message to a folder as one JSON file.

Arguments: one JSON object with port, dir, and optionally cert, key, require_tls, user, password.
Recipients beginning with "refused" get 550, with "later" 451, with "greylisted" 451 the first time only.
"""
import asyncio
import base64
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

options = json.loads(sys.argv[1])
count = 0
seen = set()


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("refused"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later"):
            return "451 4.3.0 try again later"
        if address.startswith("greylisted") and address not in seen:
            seen.add(address)
            return "451 4.7.1 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        global count
        count += 1
        message = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "data": base64.b64encode(envelope.content).decode(),
            "tls": session.ssl is not None,
            "user": getattr(session, "auth_data", None),
        }
        path = os.path.join(options["dir"], "%06d.json" % count)
        with open(path + ".tmp", "w") as f:
            json.dump(message, f)
        os.rename(path + ".tmp", path)
        return "250 2.0.0 queued as %06d" % count


def authenticate(server, session, envelope, mechanism, data):
    if data.login.decode() == options["user"] and data.password.decode() == options["password"]:
        return AuthResult(success=True, auth_data=data.login.decode())
    return AuthResult(success=False, handled=False)


def make():
    context = None
    if options.get("cert"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options["cert"], options["key"])
    wants_login = bool(options.get("user"))
    return SMTP(
        Handler(),
        hostname="mail.test",
        ident="test server",
        tls_context=context,
        require_starttls=bool(options.get("require_tls")),
        authenticator=authenticate if wants_login else None,
        auth_required=wants_login,
        auth_require_tls=context is not None,
    )


async def main():
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", options["port"])
    await server.serve_forever()


asyncio.run(main())
