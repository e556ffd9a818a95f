"""Configuration and credentials files, read as botocore reads them."""

import os
import shutil
import subprocess

from checks import Skipped, check, equal
from programs import Place, program

KEYS = "aws_access_key_id = $KEY$\naws_secret_access_key = $SECRET$\n"


def place(*options):
    return Place(*(options or ("--no-mfa",)))


@check
def indented_keys_and_comments_are_read():
    with place() as at:
        at.config("[profile work]\n    # who we are\n    region = us-east-1\n    endpoint_url = $URL$\n")
        at.credentials("[work]\n  aws_access_key_id = $KEY$\n  aws_secret_access_key = $SECRET$\n")
        at.forwards("--profile", "work", key=at.keys[0][0])


@check
def an_indented_profile_hides_no_other():
    with place() as at:
        at.config(
            "[default]\nregion = us-east-1\nendpoint_url = $URL$\n\n"
            "[profile other]\n  region = eu-west-1\n  credential_process = /bin/false\n"
        )
        at.credentials("[default]\n" + KEYS)
        at.forwards(key=at.keys[0][0])


@check
def text_after_a_section_bracket_is_ignored():
    with place() as at:
        at.config(
            "[default]\nregion = us-east-1\nendpoint_url = $URL$\n"
            "[profile buckets] /* s3://somewhere */\nregion = eu-west-1\n"
        )
        at.credentials("[default]\n" + KEYS)
        at.forwards(key=at.keys[0][0])


@check
def quoted_profile_names_equal_unquoted_ones():
    with place() as at:
        # As `aws configure --profile "My MacBook Pro"` writes them.
        at.config("[profile 'My MacBook Pro']\nregion = us-east-1\nendpoint_url = $URL$\n")
        at.credentials("[My MacBook Pro]\n" + KEYS)
        at.forwards("--profile", "My MacBook Pro", key=at.keys[0][0])


@check
def profile_names_accept_letters_of_any_alphabet():
    with place() as at:
        for name in ("büro", "仕事", "работа"):
            at.config(f"[profile {name}]\nregion = us-east-1\nendpoint_url = $URL$\n")
            at.credentials(f"[{name}]\n" + KEYS)
            at.forwards("--profile", name, key=at.keys[0][0])


@check
def a_byte_order_mark_is_skipped():
    with place() as at:
        at.config("[default]\nregion = us-east-1\nendpoint_url = $URL$\n", encoding="utf-8-sig")
        at.credentials(("[default]\n" + KEYS).replace("\n", "\r\n"), encoding="utf-8-sig")
        at.forwards(key=at.keys[0][0])


@check
def files_in_other_encodings_are_refused_and_named():
    with place() as at:
        text = "[default]\nregion = us-east-1\nendpoint_url = $URL$\n"
        for encoding in ("utf-16", "utf-16-be"):
            at.config(text)
            at.credentials("[default]\n" + KEYS, encoding=encoding)
            at.forward(env=at.key_variables()).ended_with(125).says(".aws/credentials", "UTF-16")
            at.credentials("")
            at.config(text, encoding=encoding)
            at.forward(env=at.key_variables()).ended_with(125).says(".aws/config", "UTF-16")
        at.config(text + "# b\xfcro\n", encoding="latin-1")
        at.forward(env=at.key_variables()).ended_with(125).says(".aws/config", "UTF-8")
        equal(at.requests(), [], "a file that is not read must not mean another identity")


@check
def tabs_crlf_nested_sections_and_capitals_are_read():
    with place() as at:
        at.config(
            "[profile work]\r\nREGION\t=\tus-east-1\r\nendpoint_url=$URL$\r\ns3 =\r\n"
            "\tmax_concurrent_requests = 20\r\n\tmax_queue_size = 10000\r\ncli_pager=\r\n; old style comment\r\n"
        )
        at.credentials("[work]\r\nAWS_ACCESS_KEY_ID\t= $KEY$\r\nAws_Secret_Access_Key = $SECRET$\r\n")
        at.forwards("--profile", "work", key=at.keys[0][0])


@check
def colons_delimit_keys_as_equals_signs_do():
    with place() as at:
        at.config("[default]\nregion: us-east-1\nendpoint_url= $URL$\n")
        at.credentials("[default]\naws_access_key_id: $KEY$\naws_secret_access_key: $SECRET$\n")
        at.forwards(key=at.keys[0][0])


@check
def no_break_spaces_around_values_are_trimmed():
    with place() as at:
        at.config("[default]\nregion = us-east-1\nendpoint_url = $URL$\n")
        at.credentials(
            "[default]\naws_access_key_id =\u00a0$KEY$\naws_secret_access_key =\u00a0$SECRET$\u00a0\n"
        )
        at.forwards(key=at.keys[0][0])


@check
def empty_values_mean_unset():
    with place() as at:
        at.config(
            "[profile work]\nazure_tenant_id=\nmfa_serial =\nrole_session_name =\ncredential_process =\n"
            "cli_pager =\nregion = us-east-1\nendpoint_url = $URL$\n"
        )
        at.credentials("[work]\n" + KEYS + "aws_session_token=\n")
        at.forwards("--profile", "work", key=at.keys[0][0])


@check
def an_empty_role_arn_is_unset_or_named():
    with place() as at:
        at.config("[profile work]\nrole_arn =\nregion = us-east-1\nendpoint_url = $URL$\n")
        at.credentials("[work]\n" + KEYS)
        result = at.forward("--profile", "work")
        if result.code:
            # The AWS CLI refuses it.
            result.ended_with(125).says("role_arn", "work")
        else:
            equal([it["access_key_id"] for it in at.requests("StartSession")], [at.keys[0][0]])


@check
def the_last_of_repeated_sections_and_keys_counts():
    with place() as at:
        at.config(
            "[default]\nregion = us-east-1\nregion = us-east-1\n[profile work]\nregion = eu-west-1\n"
            "[profile work]\nregion = us-east-1\nendpoint_url = $URL$\n"
        )
        at.credentials("[work]\naws_access_key_id=OLD\naws_secret_access_key=OLD\n[work]\n" + KEYS)
        at.forwards("--profile", "work", key=at.keys[0][0])


@check
def the_default_profiles_region_applies_to_no_other():
    with place() as at:
        at.config("[default]\nregion = us-east-1\n[profile work]\nendpoint_url = $URL$\n")
        at.credentials("[work]\n" + KEYS)
        at.forward("--profile", "work").ended_with(125).says("--region")
        # Without a command inside, the program's own exit code.
        result = at.run("port_forward", "i-0123456789abcdef0", "--port-number", "9", "--profile", "work")
        result.ended_with(3).says("--region")
        equal(at.requests(), [])


@check
def a_missing_profile_is_named_with_similar_ones():
    with place() as at:
        at.config("[profile work]\nregion = us-east-1\nendpoint_url = $URL$\n")
        at.credentials("[work]\n" + KEYS)
        at.forward("--profile", "wrok").ended_with(125).says("wrok", "work")


@check
def the_home_folder_is_found_without_home():
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        raise Skipped("needs root and mount namespaces")
    with place() as at:
        home = at.folder / "h"
        (home / ".aws").mkdir(parents=True)
        text = "[profile work]\nregion = us-east-1\nendpoint_url = $URL$\n" + KEYS
        (home / ".aws/config").write_text(at._filled(text))
        accounts = at.folder / "passwd"
        lines = open("/etc/passwd").read().splitlines()
        at_home = [f"nobody:x:65534:65534:nobody:{home}:/bin/sh" if it.startswith("nobody:") else it for it in lines]
        accounts.write_text("\n".join(at_home) + "\n")
        # In a folder that an unprivileged user can reach.
        command = program("port_forward")
        copy = shutil.copy(command[0], at.folder / "program")
        for path in (at.folder, home, home / ".aws", copy):
            os.chmod(path, 0o755)
        arguments = " ".join([*command[1:], "i-0123456789abcdef0", "--port-number", "9", "--", "true"])
        inside = (
            f"mount --bind {accounts} /etc/passwd && cd / && exec setpriv --reuid=65534 --regid=65534 --clear-groups"
            f" env -i PATH=/usr/bin:/bin AWS_PROFILE=work {copy} {arguments}"
        )
        at.execute(["unshare", "-m", "sh", "-c", inside]).ended_with(0)
        equal([it["access_key_id"] for it in at.requests("StartSession")], [at.keys[0][0]])
