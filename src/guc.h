/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Settings with the prefix "vektonn.".
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GUC_H
#define VK_GUC_H

/* Defines every setting and reserves the prefix. */
extern void vk_guc_init(void);

#endif							/* VK_GUC_H */
