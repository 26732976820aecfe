-- V-EdFinance, a school for personal finance, as Prisma's migrations would make it: quoted
-- camelCase names, timestamp(3), an enum, and no index on any foreign key.

CREATE TYPE "Role" AS ENUM ('STUDENT', 'TEACHER', 'ADMIN');

CREATE TABLE "User" (
    "id" text NOT NULL,
    "email" text NOT NULL,
    "passwordHash" text NOT NULL,
    "role" "Role" NOT NULL DEFAULT 'STUDENT',
    "preferredLocale" text NOT NULL DEFAULT 'vi',
    "metadata" jsonb,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "User_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "User_email_key" ON "User" ("email");

CREATE TABLE "Course" (
    "id" text NOT NULL,
    "title" text NOT NULL,
    "category" text NOT NULL,
    "priceCents" integer NOT NULL,
    "teacherId" text NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Course_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "Enrollment" (
    "id" bigserial NOT NULL,
    "userId" text NOT NULL,
    "courseId" text NOT NULL,
    "status" text NOT NULL,
    "progress" integer NOT NULL DEFAULT 0,
    "enrolledAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Enrollment_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "Enrollment_userId_courseId_key" ON "Enrollment" ("userId", "courseId");

CREATE TABLE "Transaction" (
    "id" bigserial NOT NULL,
    "userId" text NOT NULL,
    "courseId" text NOT NULL,
    "amountCents" integer NOT NULL,
    "currency" text NOT NULL,
    "status" text NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Transaction_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "BehaviorLog" (
    "id" bigserial NOT NULL,
    "userId" text NOT NULL,
    "sessionId" text NOT NULL,
    "eventType" text NOT NULL,
    "payload" jsonb,
    "timestamp" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "BehaviorLog_pkey" PRIMARY KEY ("id")
);

-- Mostly written: one row for every active user, updated by each of their clicks. An index on
-- "lastSeenAt" would end the heap-only updates.
CREATE TABLE "Presence" (
    "userId" text NOT NULL,
    "device" text NOT NULL,
    "lastSeenAt" timestamp(3) NOT NULL,
    CONSTRAINT "Presence_pkey" PRIMARY KEY ("userId")
) WITH (fillfactor = 70);
