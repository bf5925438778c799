//! The templates that every tenant starts with, and the words that stand for what a recipient may not read.

use super::{
    kind::{Channel, MessageKind},
    template::Locale,
};

/// What stands for a customer's name when there is none to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placeholder {
    /// The recipient may not see the customer.
    Hidden,
    /// The task is a to-do without a customer.
    NoCustomer,
    /// The sensitive result of a follow-up.
    Sensitive,
    /// Somebody whom we do not know (yet).
    Somebody,
}

impl Placeholder {
    pub const fn text(self, locale: Locale) -> &'static str {
        match (self, locale) {
            (Self::Hidden, Locale::Chinese) => "一位客户",
            (Self::Hidden, Locale::English) => "a customer",
            (Self::NoCustomer, Locale::Chinese) => "待办事项",
            (Self::NoCustomer, Locale::English) => "a to-do",
            (Self::Sensitive, Locale::Chinese) => "已记录",
            (Self::Sensitive, Locale::English) => "recorded",
            (Self::Somebody, Locale::Chinese) => "同事",
            (Self::Somebody, Locale::English) => "a colleague",
        }
    }
}

/// Channels that have templates; a webhook carries facts.
pub const CHANNELS: [Channel; 2] = [Channel::Inbox, Channel::Email];

/// The layout of a channel.
pub const fn layout(channel: Channel, locale: Locale) -> &'static str {
    match (channel, locale) {
        (Channel::Email, Locale::Chinese) => {
            "{{ recipient_name }}，您好：\n\n{{ text.body }}\n\n此邮件由 Revisit 自动发送，请勿直接回复。\n"
        }
        (Channel::Email, Locale::English) => {
            "Hello {{ recipient_name }},\n\n{{ text.body }}\n\nSent by Revisit; please do not reply to this mail.\n"
        }
        (Channel::Inbox | Channel::Webhook, Locale::Chinese | Locale::English) => "{{ text.body }}",
    }
}

/// The text of a kind.
pub const fn text(kind: MessageKind, locale: Locale) -> &'static str {
    match locale {
        Locale::Chinese => chinese(kind),
        Locale::English => english(kind),
    }
}

const fn chinese(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Welcome => {
            "title = 欢迎使用 Revisit\nbody = { $recipient_name }，您的账号已开通，现在可以登录并查看您的客户与回访任务。"
        }
        MessageKind::TaskOpened => {
            "title = 回访任务已开始：{ $customer_name }\nbody = 计划“{ $plan_name }”的回访已可进行，请在 { $due_time } 前完成对 { $customer_name } 的回访。"
        }
        MessageKind::TaskBefore => {
            "title = 回访即将到期：{ $customer_name }\nbody = 计划“{ $plan_name }”要求在 { $due_time } 前回访 { $customer_name }。"
        }
        MessageKind::TaskDue => {
            "title = 回访已到期：{ $customer_name }\nbody = 请现在回访 { $customer_name }（计划“{ $plan_name }”，截止 { $due_time }）。"
        }
        MessageKind::TaskOverdue => {
            "title = 回访已逾期：{ $customer_name }\nbody = { $customer_name } 的回访已超过截止时间 { $due_time }（计划“{ $plan_name }”），请尽快处理。"
        }
        MessageKind::TaskEscalated => {
            "title = 逾期升级：{ $assignee_name } 未回访 { $customer_name }\nbody = { $assignee_name } 负责的回访（{ $customer_name }，计划“{ $plan_name }”）截止 { $due_time } 仍未完成，请您跟进。"
        }
        MessageKind::TaskMoved => {
            "title = 回访任务转交给您：{ $customer_name }\nbody = { $customer_name } 的回访任务现由您负责。"
        }
        MessageKind::OutcomeRecorded => {
            "title = { $actor_name } 跟进了 { $customer_name }\nbody = { $actor_name } 通过{ $contact_channel ->\n    [phone] 电话\n    [wechat] 微信\n    [email] 邮件\n    [meeting] 会面\n    [visit] 拜访\n   *[other] 其他方式\n } 跟进了 { $customer_name }，结果：{ $result ->\n    [reached] 已联系上\n    [no_answer] 未接通\n    [interested] 有意向\n    [refused] 已拒绝\n    [closed_won] 已成交\n   *[other] { $result }\n }。"
        }
        MessageKind::CustomerAssigned => {
            "title = 新客户：{ $customer_name }\nbody = 客户 { $customer_name } 现由您负责。"
        }
        MessageKind::CustomersHandedOver => {
            "title = 有客户交接给您\nbody = { $recipient_name }，一批客户及其未完成的回访已交接给您，请在客户列表中查看。"
        }
        MessageKind::Digest => {
            "title = { $date } 今日回访：{ $due_count } 项\nbody = 今天有 { $due_count } 项回访到期{ $overdue_count ->\n    [0] 。\n   *[other] ，另有 { $overdue_count } 项已逾期。\n }"
        }
        MessageKind::CustomerWelcome => {
            "title = 欢迎您，{ $recipient_name }\nbody = 感谢您选择我们。{ $owner_name } 将是您的专属顾问，很快会与您联系。"
        }
        MessageKind::PasswordLinkDrawn => {
            "title = 您的密码重置链接已生成\nbody = { $actor_name } 为您的账号生成了一次性密码链接。如果不是您要求的，请立即修改密码并联系管理员。"
        }
        MessageKind::AlertRaised => {
            "title = 安全告警：{ $actor_name }\nbody = { $actor_name } 在 { $minutes } 分钟内触发了告警规则：{ $rule ->\n    [burst_reads] 大量查看敏感信息\n    [bulk_export] 大量导出\n    [off_hours] 非工作时间操作\n    [self_grant] 给自己授权\n    [mass_grant] 批量授权\n    [denied_burst] 频繁越权尝试\n    [failed_log_ins] 登录多次失败\n    [duplicate_budget] 查重次数用尽\n   *[other] { $rule }\n }（计数 { $counted }）。请到审计日志中核查。"
        }
    }
}

const fn english(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Welcome => {
            "title = Welcome to Revisit\nbody = { $recipient_name }, your account is ready: you can log in and see your customers and follow-ups."
        }
        MessageKind::TaskOpened => {
            "title = Follow-up open: { $customer_name }\nbody = The follow-up of plan “{ $plan_name }” with { $customer_name } may begin; it is due at { $due_time }."
        }
        MessageKind::TaskBefore => {
            "title = Follow-up due soon: { $customer_name }\nbody = Plan “{ $plan_name }” asks you to contact { $customer_name } by { $due_time }."
        }
        MessageKind::TaskDue => {
            "title = Follow-up due: { $customer_name }\nbody = Please contact { $customer_name } now (plan “{ $plan_name }”, due at { $due_time })."
        }
        MessageKind::TaskOverdue => {
            "title = Follow-up overdue: { $customer_name }\nbody = The follow-up with { $customer_name } was due at { $due_time } (plan “{ $plan_name }”). Please see to it."
        }
        MessageKind::TaskEscalated => {
            "title = Overdue: { $assignee_name } and { $customer_name }\nbody = The follow-up with { $customer_name } that { $assignee_name } is responsible for was due at { $due_time } (plan “{ $plan_name }”) and is still open. Please step in."
        }
        MessageKind::TaskMoved => {
            "title = Follow-up is now yours: { $customer_name }\nbody = You are now responsible for the open follow-up with { $customer_name }."
        }
        MessageKind::OutcomeRecorded => {
            "title = { $actor_name } followed up { $customer_name }\nbody = { $actor_name } contacted { $customer_name } ({ $contact_channel ->\n    [phone] by phone\n    [wechat] on WeChat\n    [email] by mail\n    [meeting] in a meeting\n    [visit] on a visit\n   *[other] in another way\n }). Result: { $result ->\n    [reached] reached\n    [no_answer] no answer\n    [interested] interested\n    [refused] refused\n    [closed_won] closed and won\n   *[other] { $result }\n }."
        }
        MessageKind::CustomerAssigned => {
            "title = New customer: { $customer_name }\nbody = You are now responsible for { $customer_name }."
        }
        MessageKind::CustomersHandedOver => {
            "title = Customers were handed over to you\nbody = { $recipient_name }, customers and their open follow-ups were handed over to you. You find them in your list of customers."
        }
        MessageKind::Digest => {
            "title = Follow-ups on { $date }: { $due_count }\nbody = { $due_count ->\n    [0] Nothing is due today\n    [one] One follow-up is due today\n   *[other] { $due_count } follow-ups are due today\n }{ $overdue_count ->\n    [0] .\n    [one] , and one is overdue.\n   *[other] , and { $overdue_count } are overdue.\n }"
        }
        MessageKind::CustomerWelcome => {
            "title = Welcome, { $recipient_name }\nbody = Thank you for choosing us. { $owner_name } looks after you and will be in touch soon."
        }
        MessageKind::PasswordLinkDrawn => {
            "title = A link to set your password was made\nbody = { $actor_name } made a one-time link that sets the password of your account. If you did not ask for it, change your password now and tell your administrator."
        }
        MessageKind::AlertRaised => {
            "title = Security alert: { $actor_name }\nbody = { $actor_name } reached the limit of a rule within { $minutes } minutes: { $rule ->\n    [burst_reads] many clear values were read\n    [bulk_export] many rows were exported\n    [off_hours] sensitive work outside of the working hours\n    [self_grant] a right given to oneself\n    [mass_grant] rights given to many\n    [denied_burst] many refused attempts\n    [failed_log_ins] many failed log-ins\n    [duplicate_budget] the questions about customers of others were spent\n   *[other] { $rule }\n } (counted: { $counted }). Please look into the audit log."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::template::Template;

    #[test]
    fn every_shipped_template_passes_the_rules_that_tenants_have_to_keep() {
        for kind in MessageKind::ALL {
            for channel in CHANNELS {
                for locale in Locale::ALL {
                    let checked = Template::check(kind, channel, locale, text(kind, locale), layout(channel, locale));
                    assert!(checked.is_ok(), "{} {}: {checked:?}", kind.name(), locale.name());
                }
            }
        }
    }
}
