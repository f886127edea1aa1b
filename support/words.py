"""What the pages of the desk say, in Chinese and in English. A test holds the two to the same keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from errors import YingdaError
from storage.canned_replies import TAKEN
from support.audit_words import EN as AUDIT_EN
from support.audit_words import ZH as AUDIT_ZH
from support.passwords import LEAST_DIFFERENT, LONGEST, SHORTEST
from support.picture_words import EN as PICTURE_EN
from support.picture_words import ZH as PICTURE_ZH
from support.sign_ins import WRONG, Throttled
from support.workbench_words import EN as WORKBENCH_EN
from support.workbench_words import ZH as WORKBENCH_ZH

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

ZH = {
    **WORKBENCH_ZH,
    **PICTURE_ZH,
    **AUDIT_ZH,
    "html_lang": "zh-CN",
    "product": "应答 · 客服台",
    "other_language": "English",
    "sign_in": "登录",
    "sign_in_intro": "客服人员登录",
    "username": "用户名",
    "password": "密码",
    "sign_out": "退出登录",
    "sign_out_everywhere": "退出所有设备",
    "home": "首页",
    "skip": "跳到正文",
    "signed_in_as": "当前登录",
    "my_status": "我的状态",
    "status_now": "现在是",
    "status_online": "在线",
    "status_busy": "忙碌",
    "status_offline": "离线",
    "status_hint": "保持本页打开，系统会定时确认您在线；约一分半钟没有确认即视为离线。",
    "status_guest": "访客账号只能查看，没有在线状态。",
    "set": "设置",
    "my_account": "我的账号",
    "name": "姓名",
    "role": "角色",
    "role_guest": "访客（只读）",
    "role_agent": "客服",
    "role_supervisor": "主管",
    "role_admin": "管理员",
    "max_sessions": "同时接待上限",
    "last_login": "上次登录",
    "never": "从未",
    "change_password": "修改密码",
    "old_password": "当前密码",
    "new_password": "新密码",
    "new_password_again": "再输一次新密码",
    "password_hint": f"至少 {SHORTEST} 个字符，不要用用户名或常见密码。修改后所有设备都要重新登录。",
    "accounts": "账号管理",
    "new_account": "新建账号",
    "create": "创建",
    "username_hint": "2 到 64 个小写字母、数字或 . _ -",
    "state": "状态",
    "account_off": "已停用",
    "save": "保存",
    "switch_off": "停用",
    "switch_on": "启用",
    "reset_password": "重设密码",
    "this_is_you": "这是您自己的账号：密码请在“修改密码”里改。",
    "manage": "管理",
    "back": "返回",
    "not_allowed": "没有权限",
    "not_allowed_text": "您的角色不能做这件事。",
    "problem": "出了点问题",
    "done_password": "密码已修改，请用新密码登录。",
    "done_signed_out": "已退出登录。",
    "done_created": "账号已创建。",
    "done_saved": "已保存。",
    "done_status": "状态已更新。",
    "done_ended": "登录已失效，请重新登录。",
    "error_mismatch": "两次输入的新密码不一致。",
    "error_wrong": "用户名或密码不正确。",
    "error_old": "当前密码不正确。",
    "error_same": "新密码与当前密码相同。",
    "error_length": f"密码需要 {SHORTEST} 到 {LONGEST} 个字符。",
    "error_different": f"密码至少要有 {LEAST_DIFFERENT} 个不同的字符。",
    "error_contains": "密码不能包含用户名或姓名。",
    "error_common": "这个密码太常见。",
    "error_taken": "这个用户名已被使用（可能已停用）。",
    "error_last_admin": "这是最后一个管理员，不能停用或降级。",
    "error_throttled": "尝试次数过多，请 {seconds} 秒后再试。",
    "error_busy": "系统繁忙，请稍后再试。",
    "error_other": "提交的内容有误，请检查后重试。",
}
EN = {
    **WORKBENCH_EN,
    **PICTURE_EN,
    **AUDIT_EN,
    "html_lang": "en",
    "product": "Yingda · Support desk",
    "other_language": "中文",
    "sign_in": "Sign in",
    "sign_in_intro": "Sign in to the support desk",
    "username": "User name",
    "password": "Password",
    "sign_out": "Sign out",
    "sign_out_everywhere": "Sign out everywhere",
    "home": "Home",
    "skip": "Skip to content",
    "signed_in_as": "Signed in as",
    "my_status": "My status",
    "status_now": "Now",
    "status_online": "Online",
    "status_busy": "Busy",
    "status_offline": "Offline",
    "status_hint": "Keep this page open: it confirms every so often that you are there. After a minute and a "
    "half without that you count as offline.",
    "status_guest": "A guest only reads, and has no status.",
    "set": "Set",
    "my_account": "My account",
    "name": "Name",
    "role": "Role",
    "role_guest": "Guest (read only)",
    "role_agent": "Agent",
    "role_supervisor": "Supervisor",
    "role_admin": "Admin",
    "max_sessions": "Sessions at once",
    "last_login": "Last sign-in",
    "never": "Never",
    "change_password": "Change password",
    "old_password": "Present password",
    "new_password": "New password",
    "new_password_again": "New password again",
    "password_hint": f"At least {SHORTEST} characters; not the user name, nor a common password. Every "
    "device has to sign in again afterwards.",
    "accounts": "Accounts",
    "new_account": "New account",
    "create": "Create",
    "username_hint": "2 to 64 lower-case letters, digits or . _ -",
    "state": "State",
    "account_off": "Off",
    "save": "Save",
    "switch_off": "Switch off",
    "switch_on": "Switch on",
    "reset_password": "Reset password",
    "this_is_you": "This is your own account: use “Change password” for its password.",
    "manage": "Manage",
    "back": "Back",
    "not_allowed": "Not allowed",
    "not_allowed_text": "Your role does not allow this.",
    "problem": "Something went wrong",
    "done_password": "The password is changed. Sign in with the new one.",
    "done_signed_out": "You are signed out.",
    "done_created": "The account is made.",
    "done_saved": "Saved.",
    "done_status": "The status is set.",
    "done_ended": "The sign-in has ended. Please sign in again.",
    "error_mismatch": "The two new passwords differ.",
    "error_wrong": "The user name or the password is wrong.",
    "error_old": "The present password is wrong.",
    "error_same": "The new password is the present one.",
    "error_length": f"A password needs {SHORTEST} to {LONGEST} characters.",
    "error_different": f"A password needs {LEAST_DIFFERENT} different characters.",
    "error_contains": "The password must not contain the user name or the name.",
    "error_common": "This password is too common.",
    "error_taken": "This user name is taken, perhaps by an account that is off.",
    "error_last_admin": "This is the last admin: it can be neither switched off nor demoted.",
    "error_throttled": "Too many attempts. Try again in {seconds} seconds.",
    "error_busy": "The system is busy. Try again in a moment.",
    "error_other": "What was sent is not right. Please check it.",
}
WORDS: Mapping[Language, Mapping[str, str]] = {"zh": ZH, "en": EN}
BY_MESSAGE = {
    WRONG: "error_wrong",
    "the two new passwords differ": "error_mismatch",
    "the present password is wrong": "error_old",
    "the new password is the present one": "error_same",
    f"the password needs {SHORTEST} to {LONGEST} characters": "error_length",
    f"the password needs {LEAST_DIFFERENT} different characters": "error_different",
    "the password must not contain the user name or the name": "error_contains",
    "the password is one of the most common ones": "error_common",
    "there is an account of this name already": "error_taken",
    TAKEN: "error_canned",
    "this is the last admin": "error_last_admin",
}


def explained(error: YingdaError, words: Mapping[str, str]) -> str:
    """The error in the page's language."""
    if isinstance(error, Throttled):
        return words["error_throttled"].format(seconds=error.seconds)
    if error.status == 403:
        return words["not_allowed_text"]
    if error.status >= 500:
        return words["error_busy"]
    return words[BY_MESSAGE.get(error.message, "error_other")]
