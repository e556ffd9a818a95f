"""How botocore reads configuration files and an environment. Run by botocore/main.rs, in an environment
that botocore.sh makes.

Reads one case a line as JSON and answers each with a line: `ok` with what is in use, or `error`. Nothing
is sent and no program run: what would be is written down instead.
"""

import json
import os
import pathlib
import sys
import tempfile

import botocore.configprovider
import botocore.credentials
import botocore.session
import botocore.utils

credentials = botocore.credentials


class Recorded:
    """Credentials that would be fetched, and the means."""

    def __init__(self, kind, **facts):
        self.facts = {"kind": kind, **facts}


class AssumeRole(credentials.AssumeRoleCredentialFetcher):
    def __init__(self, client_creator, source_credentials, role_arn, extra_args=None, mfa_prompter=None, cache=None):
        self.source, self.arn, self.extra = source_credentials, role_arn, extra_args


class WebIdentity(credentials.AssumeRoleWithWebIdentityCredentialFetcher):
    def __init__(self, client_creator, web_identity_token_loader, role_arn, extra_args=None, cache=None):
        path = web_identity_token_loader._web_identity_token_path
        session = (extra_args or {}).get("RoleSessionName")
        self.recorded = Recorded("web identity", role_arn=role_arn, token_file=path, session_name=session)


def sso(provider):
    config = provider._load_sso_config()
    if not config:
        return None
    names = ["start_url", "region", "account_id", "role_name"]
    facts = {name: config[f"sso_{name}"] for name in names}
    return Recorded("sso", session=config.get("sso_session"), **facts)


def login(provider):
    profile = provider._load_config().get("profiles", {}).get(provider._profile_name, {})
    if "login_session" not in profile:
        return None
    return Recorded("login", session=profile["login_session"])


def process(provider):
    command = provider._credential_process
    return None if command is None else Recorded("process", command=command)


credentials.AssumeRoleCredentialFetcher = AssumeRole
credentials.AssumeRoleWithWebIdentityCredentialFetcher = WebIdentity
credentials.create_mfa_serial_refresher = lambda refresh: refresh
credentials.SSOProvider.load = sso
credentials.LoginProvider.load = login
credentials.ProcessProvider.load = process
credentials.ContainerProvider.load = lambda provider: Recorded("container")
credentials.InstanceMetadataProvider.load = lambda provider: Recorded("instance")


def chain(found):
    """The roles in the order in which they are assumed, and what the first one is assumed with."""
    roles = []
    while True:
        if isinstance(found, Recorded):
            source = found.facts
            break
        fetcher = getattr(getattr(found, "_refresh_using", None), "__self__", None)
        if isinstance(fetcher, WebIdentity):
            source = fetcher.recorded.facts
            break
        if isinstance(fetcher, AssumeRole):
            extra = fetcher.extra or {}
            roles.insert(0, {
                "arn": fetcher.arn, "session_name": extra.get("RoleSessionName"),
                "external_id": extra.get("ExternalId"), "duration": extra.get("DurationSeconds"),
                "mfa_serial": extra.get("SerialNumber"),
            })
            found = fetcher.source
            continue
        source = {"kind": "keys", "id": found.access_key, "secret": found.secret_key, "token": found.token}
        break
    if not roles and source["kind"] in ("container", "instance"):
        source = {"kind": "machine"}
    return roles, source


def endpoint(session, case, service):
    url = case["endpoint_url"]
    if url is None and not session.get_config_variable("ignore_configured_endpoint_urls"):
        url = botocore.configprovider.ConfiguredEndpointProvider(
            full_config=session.full_config, scoped_config=session.get_scoped_config(), client_name=service,
        ).provide()
    if url is not None:
        valid = botocore.utils.is_valid_endpoint_url(url) or botocore.utils.is_valid_ipv6_endpoint_url(url)
        if not valid or not url.lower().startswith(("http://", "https://")):
            raise ValueError(f"Invalid endpoint: {url}")
    return url


def answer(case, folder):
    for name in [name for name in os.environ if name.startswith("AWS_") or name == "REQUESTS_CA_BUNDLE"]:
        del os.environ[name]
    os.environ.update(case["environment"])
    for variable, part in [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")]:
        path = folder / part
        path.unlink(missing_ok=True)
        if case[part] is not None:
            path.write_bytes(bytes.fromhex(case[part]))
        os.environ[variable] = str(path)
    session = botocore.session.Session(profile=case["profile"])
    region = case["region"]
    if region is None:
        region = session.get_config_variable("region")
    if region is not None:
        botocore.utils.validate_region_name(region)
    session.get_scoped_config()
    found = credentials.create_credential_resolver(session, region_name=region).load_credentials()
    roles, source = chain(found)
    return {
        "region": region,
        "ca_bundle": session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE"),
        "sts": endpoint(session, case, "sts"),
        "ssm": endpoint(session, case, "ssm"),
        "roles": roles,
        "source": source,
    }


def main():
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        for line in sys.stdin:
            case = json.loads(line)
            try:
                result = {"ok": answer(case, pathlib.Path(home))}
            except Exception as error:  # every refusal is an answer
                cause = getattr(error, "kwargs", {}).get("error") or error.__cause__ or error.__context__
                result = {"error": f"{type(error).__name__}: {error}", "cause": repr(cause)}
            print(json.dumps(result), flush=True)


main()
