"""Roles under MFA, as profiles describe them."""

from checks import check, equal
from programs import ACCOUNT, Place

KEYS = "aws_access_key_id = $KEY$\naws_secret_access_key = $SECRET$\n"


def arn(name):
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def assumed(at, **parameters):
    """Checks that one AssumeRole with these parameters was answered, and one code of the profile's device sent."""
    roles = at.requests("AssumeRole")
    equal([it["outcome"] for it in roles], ["answered"])
    for name, value in parameters.items():
        equal(roles[0]["parameters"].get(name), value, name)
    codes = [it["parameters"].get("SerialNumber") for it in at.requests() if it["code"] is not None]
    equal(codes, [at.serial])
    started = at.requests("StartSession")[-1]["access_key_id"]
    assert started.startswith("ASIA"), started


@check
def a_role_of_twelve_hours_is_assumed_with_the_code_itself():
    # A role that another session assumes lasts an hour at most.
    with Place("--role", "prod,max-session-duration=43200") as at:
        answer = '{"Version": 1, "AccessKeyId": "$KEY$", "SecretAccessKey": "$SECRET$"}'
        script = at.script("keys.sh", f"[ \"$3\" = 'aws users' ] || exit 9\necho '{answer}'\n")
        at.config(
            "[profile base]\nmfa_serial = $SERIAL$\nduration_seconds = 43200\n"
            f"credential_process = \"{script}\" --vault 'my.vault' \"aws users\"\n"
            f"[profile prod]\nsource_profile = base\nrole_arn = {arn('prod')}\nmfa_serial = $SERIAL$\n"
            "duration_seconds = 43200\nregion = us-east-1\nendpoint_url = $URL$\n"
        )
        at.forwards("--profile", "prod", "--mfa-code", at.code())
        assumed(at, RoleArn=arn("prod"), DurationSeconds="43200", SerialNumber=at.serial)
        equal(at.requests("GetSessionToken"), [])


@check
def the_source_profile_s_device_serves_its_roles():
    with Place("--role", "developer") as at:
        at.config(
            "[profile mfa]\nregion = us-east-1\nmfa_serial = $SERIAL$\n"
            f"[profile iamtest]\nsource_profile = mfa\nrole_arn = {arn('developer')}\n"
            "region = us-east-1\nendpoint_url = $URL$\n"
        )
        at.credentials("[mfa]\n" + KEYS)
        at.forwards("--profile", "iamtest", "--mfa-code", at.code())
        assumed(at, RoleArn=arn("developer"))


@check
def a_role_in_the_credentials_file_is_assumed():
    with Place("--role", "a-role") as at:
        at.credentials(
            f"[default]\n{KEYS}[a-role]\nmfa_serial=$SERIAL$\nrole_arn={arn('a-role')}\nsource_profile=default\n"
        )
        settings = ("--region", "us-east-1", "--endpoint-url", at.url)
        at.forwards("--profile", "a-role", *settings, "--mfa-code", at.code())
        assumed(at, RoleArn=arn("a-role"))


@check
def a_services_section_has_endpoints_for_sts_and_ssm():
    with Place("--role", "dev") as at:
        at.config(
            "[services vpc]\nssm =\n  endpoint_url = $URL$\nsts =\n  endpoint_url = $URL$\n"
            "s3 =\n  endpoint_url = http://127.0.0.1:9\n  addressing_style = path\n\n"
            f"[profile base]\nservices = vpc\n[profile dev]\nregion = us-east-1\nservices = vpc\nrole_arn = {arn('dev')}\n"
            "source_profile = base\nmfa_serial = $SERIAL$\n"
        )
        at.credentials("[base]\n" + KEYS)
        at.forwards("--profile", "dev", "--mfa-code", at.code())
        assumed(at, RoleArn=arn("dev"))
