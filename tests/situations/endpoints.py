"""Endpoints, certificates, proxies and the SDK's other settings."""

from checks import check, equal
from front import TlsFront
from programs import TARGET, Place

KEYS = "aws_access_key_id = $KEY$\naws_secret_access_key = $SECRET$\n"
# Nothing listens there: no request leaves this machine.
DEAD_PROXY = {"HTTPS_PROXY": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}


@check
def the_profile_s_ca_bundle_is_trusted():
    with Place("--no-mfa") as at, TlsFront(at.folder, at.url) as front:
        def config(bundle):
            at.config(f"[default]\nregion = us-east-1\n{bundle}endpoint_url = {front.url}\n")

        at.credentials("[default]\n" + KEYS)
        config("")
        assert at.forward(env={"AWS_MAX_ATTEMPTS": "1"}).code != 0, "trusted without a bundle"
        equal(at.requests(), [])
        at.forwards(env={"AWS_CA_BUNDLE": str(front.ca)}, key=at.keys[0][0])
        config(f"ca_bundle = {front.ca}\n")
        at.forwards(key=at.keys[0][0])


@check
def configured_endpoints_are_ignored_on_request():
    with Place("--no-mfa") as at:
        at.config("[default]\nregion = us-east-1\n")
        at.credentials("[default]\n" + KEYS)
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SSM"):
            env = {**DEAD_PROXY, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", name: at.url}
            at.forward(env=env).ended_with(125)
        equal(at.requests(), [])
        at.forwards(env={"AWS_ENDPOINT_URL": at.url}, key=at.keys[0][0])


@check
def empty_endpoint_variables_count_as_unset():
    with Place("--no-mfa") as at:
        at.config("[default]\nregion = us-east-1\nendpoint_url = $URL$\n")
        at.credentials("[default]\n" + KEYS)
        at.forwards(env={"AWS_ENDPOINT_URL_SSM": "", "AWS_ENDPOINT_URL_STS": ""}, key=at.keys[0][0])
        at.forwards(env={"AWS_ENDPOINT_URL": ""}, key=at.keys[0][0])
        at.forwards(env={"AWS_PROFILE": "", "AWS_REGION": "", "AWS_SESSION_TOKEN": ""}, key=at.keys[0][0])


@check
def plain_http_without_mfa_mentions_no_code():
    with Place(sandbox=False) as at:
        env = {
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": "http://localstack.invalid:4566", "AWS_MAX_ATTEMPTS": "1",
        }
        result = at.forward(env=env).ended_with(125)
        result.says("localstack.invalid").says_nothing_of("MFA code")


@check
def every_partitions_endpoints_match_botocore():
    with Place(sandbox=False) as at:
        keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", **DEAD_PROXY}
        fips, dual = {"AWS_USE_FIPS_ENDPOINT": "true"}, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}
        for region, more, hosts in (
            ("us-east-1", {}, "sts.us-east-1.amazonaws.com ssm.us-east-1.amazonaws.com ssmmessages.us-east-1.amazonaws.com"),
            ("us-east-1", fips, "sts-fips.us-east-1.amazonaws.com ssm-fips.us-east-1.amazonaws.com"),
            ("eu-west-1", dual, "ssm.eu-west-1.api.aws ssmmessages.eu-west-1.api.aws"),
            ("us-gov-west-1", fips, "sts.us-gov-west-1.amazonaws.com ssm.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", {}, "ssm.cn-north-1.amazonaws.com.cn ssmmessages.cn-north-1.amazonaws.com.cn"),
            ("us-isob-east-1", {}, "ssm.us-isob-east-1.sc2s.sgov.gov"),
            ("eusc-de-east-1", {}, "ssm.eusc-de-east-1.amazonaws.eu"),
        ):
            result = at.run("doctor", TARGET, "--region", region, "--timeout", "4", env={**keys, **more})
            result.says(*hosts.split())


@check
def fips_with_a_custom_endpoint_names_both_settings():
    with Place("--no-mfa") as at:
        result = at.forward(env={**at.key_variables(), "AWS_USE_FIPS_ENDPOINT": "true"})
        if result.code:
            result.ended_with(125).says_nothing_of("check the network")
            assert "fips" in result.text.lower(), result


@check
def a_socks_all_proxy_is_used_or_named():
    with Place("--no-mfa") as at:
        result = at.forward(env={**at.key_variables(), "ALL_PROXY": "socks5://127.0.0.1:9"})
        if result.code:
            result.ended_with(125).says("ALL_PROXY")


@check
def every_retry_mode_of_the_aws_cli_is_accepted():
    with Place("--no-mfa") as at:
        at.credentials("[default]\n" + KEYS)
        for mode in ("legacy", "standard", "adaptive"):
            at.config(f"[default]\nregion = us-east-1\nendpoint_url = $URL$\nretry_mode = {mode}\nmax_attempts = 5\n")
            at.forwards(key=at.keys[0][0])
