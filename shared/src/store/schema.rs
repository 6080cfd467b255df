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
    }
}

diesel::table! {
    rooms (id) {
        id -> Text,
        name -> Nullable<Text>,
        visibility -> Text,
        created_at -> BigInt,
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
    }
}
