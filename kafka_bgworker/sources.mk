# Sources of this folder that belong to vektonn.so, because the postmaster
# preloads it: they never include rdkafka.h.  All others are vektonn_kafka.so.
KAFKA_PRELOAD_SRCS = launcher.c stream_control.c worker_shmem.c
