-- Fills schema.sql. How much, the session's settings demo.users and demo.logs say.
-- Shares are exact where a row number is taken in a random order, and drawn where random() stands
-- alone; the seed and the serial plans make every load the same.

SET max_parallel_workers_per_gather = 0;
SET work_mem = '256MB';
SELECT setseed(0.42);

-- Role 95/4/1 %, locale 80/15/5 %, theme 12/88 %; three orders, so that they are independent.
INSERT INTO "User"
SELECT
    'c' || substr(md5(random()::text), 1, 24),
    'user' || n || '@example.edu',
    '$2b$10$' || substr(md5(random()::text) || md5(random()::text), 1, 53),
    (CASE WHEN by_role <= users * 0.95 THEN 'STUDENT' WHEN by_role <= users * 0.99 THEN 'TEACHER' ELSE 'ADMIN' END)::"Role",
    CASE WHEN by_locale <= users * 0.80 THEN 'vi' WHEN by_locale <= users * 0.95 THEN 'en' ELSE 'zh' END,
    jsonb_build_object(
        'theme', CASE WHEN by_theme <= users * 0.12 THEN 'dark' ELSE 'light' END,
        'ageGroup', (ARRAY['13-17', '18-24', '25-34', '35-49', '50+'])[1 + floor(5 * random())::int],
        'risk', jsonb_build_object('score', floor(100 * random())::int)),
    LOCALTIMESTAMP(3) - interval '2 years' * (1 - n::float8 / users)
FROM (
    SELECT
        n,
        current_setting('demo.users')::int AS users,
        row_number() OVER (ORDER BY random()) AS by_role,
        row_number() OVER (ORDER BY random()) AS by_locale,
        row_number() OVER (ORDER BY random()) AS by_theme
    FROM generate_series(1, current_setting('demo.users')::int) AS n
) AS numbered
ORDER BY n;

INSERT INTO "Course"
SELECT
    'c' || n,
    'Course ' || n,
    (ARRAY['saving', 'investing', 'credit', 'insurance', 'taxes', 'business'])[1 + n % 6],
    100 * (10 + floor(90 * random())::int),
    teachers[1 + n % array_length(teachers, 1)],
    LOCALTIMESTAMP(3) - interval '2 years' * (1 - n / 200.0)
FROM
    generate_series(1, 200) AS n,
    (SELECT array_agg("id" ORDER BY "email") AS teachers FROM "User" WHERE "role" = 'TEACHER') AS t;

-- Activity is Zipf 1.2 over seven users of ten; the others have none. Each of the seven has one
-- row and their share of the rest; what rounding leaves over goes to the first ranks.
CREATE TEMPORARY TABLE actor AS
SELECT
    "id",
    rank,
    1 + floor(spare * share)::int
        + (rank <= spare - sum(floor(spare * share)) OVER ())::int AS logs
FROM (
    SELECT
        "id",
        rank,
        current_setting('demo.logs')::int - count(*) OVER () AS spare,
        rank ^ -1.2 / sum(rank ^ -1.2) OVER () AS share
    FROM (SELECT "id", row_number() OVER (ORDER BY random())::float8 AS rank FROM "User") AS ranked
    WHERE rank <= current_setting('demo.users')::int * 0.7
) AS shares;

-- Event types are Zipf 1.1 over 20; "timestamp" goes with "id" over one year, but for 2 % that
-- arrive up to three days late.
INSERT INTO "BehaviorLog" ("userId", "sessionId", "eventType", "payload", "timestamp")
SELECT
    "userId",
    's' || substr(md5("userId" || n * 8760 / logs), 1, 20),
    (ARRAY[
        'page_view', 'click', 'video_play', 'video_pause', 'scroll', 'quiz_start', 'quiz_submit',
        'login', 'logout', 'search', 'bookmark', 'comment', 'share', 'download', 'rate', 'purchase',
        'refund', 'invite', 'profile_edit', 'error'
    ])[type],
    jsonb_strip_nulls(jsonb_build_object(
        'page', '/learn/' || floor(500 * random())::int,
        'durationMs', floor(60000 * random() ^ 3)::int,
        'courseId', CASE WHEN random() < 0.55 THEN 'c' || ceil(200 * (1 - random()) ^ 2)::int END,
        'nested', CASE WHEN type IN (6, 7) THEN
            jsonb_build_object('quiz', jsonb_build_object('score', floor(101 * random())::int)) END)),
    LOCALTIMESTAMP(3) - interval '1 year' * (1 - n::float8 / logs)
        - CASE WHEN random() < 0.02 THEN interval '3 days' * random() ELSE interval '0' END
FROM (
    SELECT
        n,
        "userId",
        current_setting('demo.logs')::bigint AS logs,
        1 + width_bucket(random(), bounds) AS type
    FROM
        (
            SELECT "id" AS "userId", row_number() OVER (ORDER BY random()) AS n
            FROM actor, generate_series(1, actor.logs)
        ) AS shuffled,
        (
            SELECT array_agg(bound ORDER BY bound) AS bounds
            FROM (
                SELECT k, sum(k ^ -1.1::float8) OVER (ORDER BY k) / sum(k ^ -1.1::float8) OVER () AS bound
                FROM generate_series(1, 20) AS k
            ) AS cumulated
            WHERE k < 20
        ) AS zipf
) AS drawn
ORDER BY n;

-- Three courses for the mean user; the popular courses have most of them.
INSERT INTO "Enrollment" ("userId", "courseId", "status", "progress", "enrolledAt")
SELECT
    "userId",
    'c' || course,
    CASE WHEN draw < 0.6 THEN 'ACTIVE' WHEN draw < 0.9 THEN 'COMPLETED' ELSE 'DROPPED' END,
    CASE WHEN draw < 0.6 THEN floor(100 * random())::int WHEN draw < 0.9 THEN 100 ELSE 0 END,
    LOCALTIMESTAMP(3) - interval '1 year' * (1 - row_number() OVER (ORDER BY at) / (count(*) OVER ())::float8)
FROM (
    SELECT "userId", course, random() AS draw, random() AS at
    FROM (
        SELECT DISTINCT "id" AS "userId", ceil(200 * (1 - random()) ^ 2)::int AS course
        FROM "User", generate_series(1, 3)
    ) AS once
) AS drawn
ORDER BY at;

-- Two payments for the mean user: 92 % paid, 4 % failed, 3 % pending, 1 % refunded.
INSERT INTO "Transaction" ("userId", "courseId", "amountCents", "currency", "status", "createdAt")
SELECT
    "userId",
    "courseId",
    100 * (10 + floor(90 * random())::int),
    CASE WHEN random() < 0.85 THEN 'VND' ELSE 'USD' END,
    CASE WHEN draw < 0.92 THEN 'PAID' WHEN draw < 0.96 THEN 'FAILED' WHEN draw < 0.99 THEN 'PENDING' ELSE 'REFUNDED' END,
    LOCALTIMESTAMP(3) - interval '1 year' * (1 - row_number() OVER (ORDER BY at) / (count(*) OVER ())::float8)
FROM (
    SELECT "userId", "courseId", random() AS draw, random() AS at
    FROM "Enrollment", generate_series(1, 2)
    WHERE random() < 0.34
) AS drawn
ORDER BY at;

INSERT INTO "Presence"
SELECT
    "id",
    (ARRAY['ios', 'android', 'web'])[1 + floor(3 * random())::int],
    LOCALTIMESTAMP(3) - interval '1 day' * random()
FROM actor
ORDER BY rank;

DROP TABLE actor;

ALTER TABLE "Course" ADD CONSTRAINT "Course_teacherId_fkey" FOREIGN KEY ("teacherId") REFERENCES "User" ("id");
ALTER TABLE "Enrollment" ADD CONSTRAINT "Enrollment_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id");
ALTER TABLE "Enrollment" ADD CONSTRAINT "Enrollment_courseId_fkey" FOREIGN KEY ("courseId") REFERENCES "Course" ("id");
ALTER TABLE "Transaction" ADD CONSTRAINT "Transaction_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id");
ALTER TABLE "Transaction" ADD CONSTRAINT "Transaction_courseId_fkey" FOREIGN KEY ("courseId") REFERENCES "Course" ("id");
ALTER TABLE "BehaviorLog" ADD CONSTRAINT "BehaviorLog_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id");
ALTER TABLE "Presence" ADD CONSTRAINT "Presence_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id");

RESET max_parallel_workers_per_gather;
RESET work_mem;
