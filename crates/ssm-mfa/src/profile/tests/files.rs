//! What the files hold.

pub(super) const CONFIG: &str = "
[default]
region = eu-central-1

[profile user]
region = ap-northeast-1
aws_access_key_id = AKIAUSER
aws_secret_access_key = user-secret
mfa_serial = arn:aws:iam::123456789012:mfa/taro

[profile keys]
aws_access_key_id = AKIAKEYS
aws_secret_access_key = keys-secret

[profile session]
aws_access_key_id = ASIASESSION
aws_secret_access_key = session-secret
aws_session_token = session-token

[profile dev]
role_arn = arn:aws:iam::123456789012:role/dev
source_profile = keys
mfa_serial = arn:aws:iam::123456789012:mfa/taro
external_id = ext/1
role_session_name = taro
duration_seconds = 7200
mfa_process = oathtool --totp x

[profile inherit]
role_arn = arn:aws:iam::123456789012:role/inherit
source_profile = user

[profile plain]
role_arn = arn:aws-cn:iam::123456789012:role/plain
source_profile = keys

[profile chain]
role_arn = arn:aws:iam::999999999999:role/far
source_profile = dev

[profile outer]
role_arn = arn:aws:iam::999999999999:role/outer
source_profile = plain
mfa_serial = GAHT12345678

[profile self]
role_arn = arn:aws:iam::123456789012:role/self
source_profile = self
aws_access_key_id = AKIASELF
aws_secret_access_key = self-secret
mfa_serial = arn:aws:iam::123456789012:mfa/taro

[profile over-self]
role_arn = arn:aws:iam::123456789012:role/over
source_profile = self

[profile environment]
role_arn = arn:aws:iam::123456789012:role/env
credential_source = Environment

[profile ec2]
role_arn = arn:aws:iam::123456789012:role/ec2
credential_source = Ec2InstanceMetadata

[profile ecs]
role_arn = arn:aws:iam::123456789012:role/ecs
credential_source = EcsContainer

[profile sso]
sso_session = company
sso_account_id = 123456789012
sso_role_name = dev

[sso-session company]
sso_start_url = https://company.awsapps.com/start
sso_region = eu-west-1

[profile over-sso]
role_arn = arn:aws:iam::123456789012:role/dev
source_profile = sso

[profile web]
role_arn = arn:aws:iam::123456789012:role/web
web_identity_token_file = /token
mfa_serial = arn:aws:iam::123456789012:mfa/taro

[profile both]
role_arn = arn:aws:iam::123456789012:role/both
source_profile = keys
credential_source = Environment

[profile neither]
role_arn = arn:aws:iam::123456789012:role/neither

[profile lost]
role_arn = arn:aws:iam::123456789012:role/lost
source_profile = nowhere

[profile elsewhere]
role_arn = arn:aws:iam::123456789012:role/elsewhere
credential_source = Moon

[profile loop-a]
role_arn = arn:aws:iam::123456789012:role/a
source_profile = loop-b

[profile loop-b]
role_arn = arn:aws:iam::123456789012:role/b
source_profile = loop-a

[profile narcissus]
role_arn = arn:aws:iam::123456789012:role/n
source_profile = narcissus

[profile words]
role_arn = arn:aws:iam::123456789012:role/dev
source_profile = keys
duration_seconds = one hour

[profile short]
role_arn = arn:aws:iam::123456789012:role/dev
source_profile = keys
duration_seconds = 60

[profile no-role]
role_arn = dev
source_profile = keys

[profile no-name]
role_arn = arn:aws:iam::123456789012:role/dev
source_profile = keys
role_session_name = two words

[profile passkey]
aws_access_key_id = AKIAKEYS
aws_secret_access_key = keys-secret
mfa_serial = arn:aws:iam::123456789012:u2f/user/taro/key

[profile half]
aws_access_key_id = AKIAHALF

[profile other-half]
aws_secret_access_key = half-secret
";

pub(super) const SHARED: &str = "
[profile keys]
aws_access_key_id = AKIAKEYS
aws_secret_access_key = x
[profile others]
aws_access_key_id = AKIAOTHERS
aws_secret_access_key = x
[profile alias]
aws_access_key_id = AKIAKEYS
aws_secret_access_key = x
[profile dev]
role_arn = arn:aws:iam::123456789012:role/dev
source_profile = keys
mfa_serial = arn:aws:iam::123456789012:mfa/taro
[profile devother]
role_arn = arn:aws:iam::123456789012:role/dev
source_profile = others
mfa_serial = arn:aws:iam::123456789012:mfa/taro
[profile ops]
role_arn = arn:aws:iam::123456789012:role/ops
source_profile = keys
mfa_serial = arn:aws:iam::123456789012:mfa/taro
[profile ops-again]
role_arn = arn:aws:iam::123456789012:role/ops
source_profile = alias
mfa_serial = arn:aws:iam::123456789012:mfa/taro
[profile far]
role_arn = arn:aws:iam::123456789012:role/far
source_profile = ops
mfa_serial = arn:aws:iam::123456789012:mfa/taro
[profile plain]
role_arn = arn:aws:iam::123456789012:role/plain
source_profile = keys
";

pub(super) const CREDENTIALS: &str = "
[keys]
aws_secret_access_key = keys-secret
[in-credentials]
aws_access_key_id = AKIAIN
aws_secret_access_key = in-secret
mfa_serial = arn:aws:iam::123456789012:mfa/taro
";
