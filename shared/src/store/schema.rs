//! The tables as diesel sees them; the migrations are what makes them.

diesel::table! {
    messages (room, epoch, seq) {
        room -> Text,
        epoch -> BigInt,
        seq -> BigInt,
        origin_id -> Nullable<Text>,
        sender -> Text,
        sent_at -> BigInt,
        content_type -> Nullable<Text>,
        sender_name -> Nullable<Text>,
        is_binary -> Bool,
        headers -> Nullable<Text>,
        body_hash -> BigInt,
        body -> Binary,
    }
}

diesel::table! {
    marks (room, epoch, seq) {
        room -> Text,
        epoch -> BigInt,
        seq -> BigInt,
        kind -> Text,
        first_epoch -> Nullable<BigInt>,
        first_seq -> Nullable<BigInt>,
    }
}

diesel::table! {
    epochs (room, epoch) {
        room -> Text,
        epoch -> BigInt,
        sealed_last -> Nullable<BigInt>,
        begun -> Bool,
    }
}

diesel::table! {
    rooms (id) {
        id -> Text,
        name -> Nullable<Text>,
        visibility -> Text,
        created_at -> BigInt,
        direct -> Bool,
        deleted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    members (room, user_id) {
        room -> Text,
        user_id -> Text,
        name -> Nullable<Text>,
        role -> Text,
        source -> Text,
        joined_at -> BigInt,
        banned -> Bool,
        muted_until -> Nullable<BigInt>,
    }
}

diesel::table! {
    kept_mutes (room, user_id) {
        room -> Text,
        user_id -> Text,
        muted_until -> BigInt,
    }
}

diesel::table! {
    cursors (room, user_id) {
        room -> Text,
        user_id -> Text,
        epoch -> BigInt,
        seq -> BigInt,
        moved_at -> BigInt,
    }
}

diesel::table! {
    delivered (room, user_id, device) {
        room -> Text,
        user_id -> Text,
        device -> Text,
        epoch -> BigInt,
        seq -> BigInt,
    }
}

diesel::table! {
    room_heads (room) {
        room -> Text,
        epoch -> BigInt,
        seq -> BigInt,
        stored_at -> BigInt,
        from_epoch -> Nullable<BigInt>,
        from_seq -> Nullable<BigInt>,
        due_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    rounds (id) {
        id -> BigInt,
        room -> Text,
        from_epoch -> BigInt,
        from_seq -> BigInt,
        upto_epoch -> BigInt,
        upto_seq -> BigInt,
        after_user -> Text,
        leased_until -> BigInt,
        lease -> Nullable<BigInt>,
    }
}

diesel::table! {
    pushes (id) {
        id -> BigInt,
        room -> Text,
        user_id -> Text,
        device -> Text,
        kind -> Text,
        epoch -> BigInt,
        seq -> BigInt,
        from_epoch -> BigInt,
        from_seq -> BigInt,
        state -> Text,
        reason -> Nullable<Text>,
        attempts -> BigInt,
        cancelled -> Bool,
        created_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        next_at -> Nullable<BigInt>,
        lease -> Nullable<BigInt>,
    }
}

diesel::table! {
    accounts (user_id) {
        user_id -> Text,
        name -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    refresh_tokens (hash) {
        hash -> Binary,
        user_id -> Text,
        login -> Text,
        expires_at -> BigInt,
        rotated_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    revocations (subject) {
        subject -> Text,
        before -> BigInt,
        until -> BigInt,
    }
}

diesel::table! {
    member_changes (id) {
        id -> BigInt,
        room -> Text,
        user_id -> Nullable<Text>,
    }
}

diesel::table! {
    devices (user_id, installation) {
        user_id -> Text,
        installation -> Text,
        token -> Nullable<Text>,
        token_hash -> Nullable<BigInt>,
        platform -> Text,
        locale -> Nullable<Text>,
        time_zone -> Nullable<Text>,
        muted -> Bool,
        preview -> Bool,
        quiet_hours -> Nullable<Text>,
        seen_at -> BigInt,
        muted_rooms -> Text,
    }
}

diesel::table! {
    last_seen (user_id) {
        user_id -> Text,
        at -> BigInt,
    }
}

/// All of them.
pub(crate) const TABLES: [&str; 17] = [
    "messages",
    "marks",
    "epochs",
    "rooms",
    "members",
    "kept_mutes",
    "cursors",
    "delivered",
    "room_heads",
    "rounds",
    "pushes",
    "accounts",
    "refresh_tokens",
    "revocations",
    "member_changes",
    "devices",
    "last_seen",
];

diesel::allow_tables_to_appear_in_same_query!(
    rooms, members, cursors, messages, epochs, devices, room_heads
);

#[cfg(test)]
mod tests {
    #[test]
    fn all_tables_are_listed() {
        let text = include_str!("schema.rs").split("#[cfg(test)]").next().unwrap();
        let declared = text.split("diesel::table! {").skip(1);
        let names = declared.map(|table| table.trim_start().split(' ').next().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), super::TABLES);
    }
}
