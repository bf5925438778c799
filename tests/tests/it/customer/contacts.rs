//! How customers are reached: several points of each type, one way to compare them, and what is typed kept beside it.

use revisit_permission::{Change, Tenant};
use revisit_proto::customer::v1 as pb;

use super::{
    fields, person, point,
    support::{Office, Seat, in_each_office},
};

async fn clear(who: &Seat, customer_id: &str) -> Vec<pb::ContactPoint> {
    who.ask(customer_id).await.expect("his").contact_points
}

#[tokio::test(flavor = "multi_thread")]
async fn contact_points_keep_what_was_typed_beside_the_normal_form_and_each_type_has_one_primary() {
    in_each_office(async |office: &Office| {
        use pb::ContactType::{Company, Email, Phone, RegistrationCode, Wechat};
        let rep = office.seat("rep");
        let points = [
            (Phone, "１３８ 0000 1001", "+8613800001001", "138****1001"),
            (Phone, "021-6234 5678", "+862162345678", "862****5678"),
            (Email, "Fang.Wang@EXAMPLE.com", "Fang.Wang@example.com", "F****@example.com"),
            (Wechat, "WX_Fang01", "wx_fang01", "wx****01"),
            (Company, "上海华信贸易有限公司", "上海华信贸易", "上****"),
            (RegistrationCode, "91310000 ma1fl0000x", "91310000MA1FL0000X", "91****0X"),
        ];
        let mut row = person("王芳", "");
        row.contact_points = points.iter().map(|(kind, typed, ..)| point(*kind, typed)).collect();
        row.contact_points[0].verified = true;
        row.contact_points[1].primary = true;
        // The same number once more, written otherwise.
        row.contact_points.push(point(Phone, "+86 138-0000-1001"));
        let made = rep.create(row).await.expect("made");
        let masked: Vec<_> = made.contact_points.iter().map(|it| it.value.as_str()).collect();
        assert_eq!(masked, points.map(|(.., masked)| masked), "each type has its own mask, and a repeat is dropped");
        assert!(made.contact_points.iter().all(|it| it.normal_form.is_empty()), "masked means masked");
        let kept = clear(&rep, &made.customer_id).await;
        let forms: Vec<_> = kept.iter().map(|it| it.normal_form.as_str()).collect();
        assert_eq!(forms, points.map(|(_, _, normal_form, _)| normal_form));
        assert_eq!((kept[0].value.as_str(), kept[3].value.as_str()), ("138 0000 1001", "WX_Fang01"), "as it was typed");
        let flags: Vec<_> = kept.iter().map(|it| (it.verified, it.primary)).collect();
        assert_eq!(flags, [(true, false), (false, true), (false, true), (false, true), (false, true), (false, true)]);
        // Points are named by their ids: a value that is left out stays, what is left out goes.
        let mut change = pb::Customer { customer_id: made.customer_id.clone(), ..Default::default() };
        let stays = |it: &pb::ContactPoint| pb::ContactPoint { value: String::new(), ..it.clone() };
        change.contact_points = vec![pb::ContactPoint { primary: true, ..stays(&kept[0]) }, stays(&kept[2])];
        rep.update(change.clone(), &["contact_points"]).await.expect("changed");
        let left = clear(&rep, &made.customer_id).await;
        let left: Vec<_> = left.iter().map(|it| (it.normal_form.as_str(), it.verified, it.primary)).collect();
        assert_eq!(left, [("+8613800001001", true, true), ("Fang.Wang@example.com", false, true)]);
        change.contact_points = vec![stays(&kept[5])];
        let refused = rep.update(change, &["contact_points"]).await.expect_err("it is gone");
        assert_eq!(fields(&refused), ["contact_points[0].contact_point_id"]);
        rep.create(person("李强", "021-62345678")).await.expect("the number that was dropped is free");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_without_a_country_code_is_one_of_the_country_of_the_company() {
    in_each_office(async |office: &Office| {
        let region = Some("US".to_owned());
        let settings = Tenant { administrator: Some(office.who("admin")), modules_off: Vec::new(), region };
        office.commit(vec![Change::Tenant(settings)]).await;
        let rep = office.seat("rep");
        let made = rep.create(person("王芳", "(650) 253-0000")).await.expect("made");
        assert_eq!(clear(&rep, &made.customer_id).await[0].normal_form, "+16502530000");
        let same = rep.create(person("王芳", "+1 650 253 0000")).await.expect_err("the same number");
        assert_eq!(same.reason, "DUPLICATE");
        let foreign = rep.create(person("李强", "13800001001")).await.expect_err("a number of another country");
        assert_eq!(foreign.violations[0].field, "customer.contact_points[0].value");
        let job = office
            .seat("director")
            .import(office, "姓名,手机号\n李强,650 253 0001\n张伟,13800001001\n".as_bytes())
            .await;
        assert_eq!((job.created_count, job.rejected_count), (1, 1), "{job:?}");
    })
    .await;
}
