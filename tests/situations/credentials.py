"""Sources of credentials, and the errors when they cannot be used."""

from checks import check, equal
from programs import ACCOUNT, Place

KEYS = "aws_access_key_id = $KEY$\naws_secret_access_key = $SECRET$\n"


@check
def an_expired_sso_session_names_the_command_to_run():
    with Place("--no-mfa") as at:
        at.config(
            "[sso-session corp]\nsso_start_url = https://d-1234567890.awsapps.com/start/#\nsso_region = us-east-1\n"
            "sso_registration_scopes = sso:account:access\n"
            f"[profile dev]\nsso_session = corp\nsso_account_id = {ACCOUNT}\nsso_role_name = AdministratorAccess\n"
            "region = us-east-1\nendpoint_url = $URL$\noutput = json\ncli_pager=\n"
        )
        result = at.forward("--profile", "dev").ended_with(125)
        result.says("aws sso login --profile dev")
        equal(at.requests("StartSession"), [])


@check
def a_login_session_says_what_a_user_can_do():
    with Place("--no-mfa") as at:
        at.config(
            f"[profile dev]\nlogin_session = arn:aws:iam::{ACCOUNT}:user/jo\nregion = us-east-1\nendpoint_url = $URL$\n"
        )
        result = at.forward("--profile", "dev").ended_with(125)
        result.says_nothing_of("cargo feature", "panicked")
        ways = ("aws login", "export-credentials", "credential_process")
        assert any(way in result.text for way in ways), result
        equal(at.requests("StartSession"), [])


@check
def a_line_break_in_a_session_token_is_named():
    with Place("--no-mfa") as at:
        env = {**at.key_variables(), "AWS_SESSION_TOKEN": "abc\ndef"}
        result = at.forward(env=env).ended_with(125).says("AWS_SESSION_TOKEN")
        result.says_nothing_of("check the network", "abc", "interrupted")
        equal(at.requests("StartSession"), [])


@check
def a_line_end_after_a_process_token_does_not_panic():
    with Place("--no-mfa") as at:
        answer = '{"Version":1,"AccessKeyId":"$KEY$","SecretAccessKey":"$SECRET$","SessionToken":"abc\\\\n"}'
        script = at.script("p.sh", f"printf '{answer}'\n")
        at.config(f"[default]\nregion = us-east-1\nendpoint_url = $URL$\ncredential_process = {script}\n")
        # The token is wrong: the service says so, once it is asked.
        result = at.forward()
        assert result.code != 0, result
        result.says("token").says_nothing_of("check the network", "interrupted")


@check
def a_credential_process_runs_once_per_tunnel():
    with Place("--no-mfa") as at:
        answer = '{"Version":1,"AccessKeyId":"$KEY$","SecretAccessKey":"$SECRET$"}'
        script = at.script("p.sh", f"echo x >> $FOLDER$/calls\necho '{answer}'\n")
        at.config(f"[default]\nregion = us-east-1\nendpoint_url = $URL$\ncredential_process = {script}\n")
        at.forwards(key=at.keys[0][0])
        equal((at.folder / "calls").read_text(), "x\n")


@check
def session_keys_beside_mfa_serial_are_used_as_they_are():
    with Place() as at:
        at.credentials("[base]\n" + KEYS)
        common = "region=us-east-1\nendpoint_url=$URL$\nmfa_serial=$SERIAL$\n"
        at.config(f"[profile base]\n{common}[profile exported]\n{common}credential_process = cat $FOLDER$/c.json\n")
        exported = at.run("mfa", "export", "--profile", "base", "--mfa-code", at.code()).ended_with(0)
        (at.folder / "c.json").write_text(exported.out)
        at.forwards("--profile", "exported")
        equal(len(at.requests("GetSessionToken")), 1, "no second code")


@check
def a_source_profile_without_a_role_works_or_is_named():
    with Place("--no-mfa") as at:
        at.config("[profile main]\nregion=us-east-1\n[profile dev]\nsource_profile=main\nregion=us-east-1\nendpoint_url=$URL$\n")
        at.credentials("[main]\n" + KEYS)
        result = at.forward("--profile", "dev")
        if result.code:
            # The AWS CLI finds no credentials there.
            result.ended_with(125).says("dev").says_nothing_of("panicked")
        else:
            equal([it["access_key_id"] for it in at.requests("StartSession")], [at.keys[0][0]])


@check
def a_missing_terminal_error_names_the_code_flag():
    with Place() as at:
        env = {**at.key_variables(), "AWS_MFA_SERIAL": at.serial}
        result = at.forward(env=env, start_new_session=True).ended_with(125)
        result.says("--mfa-code", "SSM_TUNNEL_MFA_CODE")
        env["SSM_TUNNEL_MFA_CODE"] = at.code()
        at.forwards(env=env, start_new_session=True)


@check
def an_indented_comment_loses_no_mfa_code():
    with Place() as at:
        at.config("[default]\nregion = us-east-1\nendpoint_url = $URL$\nmfa_serial = $SERIAL$\n")
        at.credentials("[default]\naws_access_key_id = $KEY$\n  # old one\naws_secret_access_key = $SECRET$\n")
        at.run("mfa", "login", "--mfa-code", at.code()).ended_with(0).says_nothing_of("panicked")
        equal([it["outcome"] for it in at.requests("GetSessionToken")], ["answered"])
